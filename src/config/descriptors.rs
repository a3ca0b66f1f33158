//! Files that describe RPC services.

use super::file::{self, BYTES_MAX};
use prost_reflect::{DescriptorError, DescriptorPool};
use std::{io, path::Path};

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
    let bytes = file::read(path, BYTES_MAX)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(DescriptorFault::TooLarge);
    }
    Ok(DescriptorPool::decode(bytes.as_slice())?)
}
