//! Files that come from outside, read up to a limit.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// No file that a configuration names may be larger, in bytes; most may have far less.
pub(crate) const BYTES_MAX: u64 = 32 << 20;

/// At most `bytes_max` and one more of a file.
///
/// # Errors
/// Where it cannot be read. A pipe, a socket or a device is not: opening one may wait for ever, and what was
/// read from it once is gone.
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let kind = fs::metadata(path)?.file_type();
    // The system says it of a folder by itself.
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
