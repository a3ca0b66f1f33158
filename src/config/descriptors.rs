//! Files that describe RPC services.

use prost_reflect::{DescriptorError, DescriptorPool};
use std::{fs::File, io, io::Read as _, path::Path};

/// The largest file that is read. Those of whole companies have a few megabytes.
const BYTES_MAX: u64 = 32 << 20;

/// A file that does not describe what it should.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorFault {
    /// It cannot be read.
    #[error("the descriptors cannot be read: {0}")]
    File(#[from] io::Error),
    /// It is too large to be what it should be.
    #[error("the descriptors have more than {} MiB", BYTES_MAX >> 20)]
    TooLarge,
    /// It is no descriptor set, or lacks something that it imports.
    #[error("this is no `google.protobuf.FileDescriptorSet` with all that it imports: {0}")]
    Malformed(#[from] DescriptorError),
}

/// Reads a `google.protobuf.FileDescriptorSet`.
///
/// # Errors
/// [`DescriptorFault`].
pub fn read(path: &Path) -> Result<DescriptorPool, DescriptorFault> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(DescriptorFault::TooLarge);
    }
    Ok(DescriptorPool::decode(bytes.as_slice())?)
}
