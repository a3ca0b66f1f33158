//! Where the demo keeps what is to be looked at and changed.

use std::{
    env,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{self, Path, PathBuf},
};

/// A folder for its owner's eyes. It is removed with all that is in it when this is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one where the system wants what is soon gone.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub(super) fn make() -> io::Result<Self> {
        let name = getrandom::u32().map_err(io::Error::other)?;
        let path = path::absolute(env::temp_dir())?.join(format!("portcullis-demo-{name:08x}"));
        // One that is there already is somebody else's, who may have laid links in it.
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is gone already where somebody tidied up.
        drop(fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_its_owners_alone_and_goes_with_what_is_in_it() {
        let folder = Folder::make().unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(path.join("history")).unwrap();
        fs::write(path.join("history/file"), "a").unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
