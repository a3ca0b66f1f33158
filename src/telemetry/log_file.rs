//! A file that lines are appended to, however it is moved about.
//!
//! Whoever rotates logs renames the file, empties it, or deletes it, and tells nobody. So before each batch it is
//! looked whether the path still leads to the open file, which costs one `stat` for many lines; where it does not,
//! the path is opened anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

/// An open file and the path that it was opened at.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Whether it was looked after since the batch began.
    is_checked: bool,
    is_failing: bool,
}

impl LogFile {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// Where neither can be done; the path is named.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = append_to(&path)?;
        Ok(Self { path, file, is_checked: true, is_failing: false })
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_checked {
            if !self.is_in_place()? {
                self.file = append_to(&self.path)?;
            }
            self.is_checked = true;
        }
        self.file.write(bytes)
    }

    fn is_in_place(&self) -> io::Result<bool> {
        let open = self.file.metadata()?;
        Ok(fs::metadata(&self.path).is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino())))
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.try_write(bytes);
        // Once for each trouble: a disk stays full for long.
        match &written {
            Err(error) if !self.is_failing && error.kind() != io::ErrorKind::Interrupted => {
                self.is_failing = true;
                tracing::error!(%error, "the access log cannot be written");
            }
            Ok(_) if self.is_failing => {
                self.is_failing = false;
                tracing::info!("the access log is written again");
            }
            _ => {}
        }
        written
    }

    /// Ends the batch.
    fn flush(&mut self) -> io::Result<()> {
        self.is_checked = false;
        Ok(())
    }
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
