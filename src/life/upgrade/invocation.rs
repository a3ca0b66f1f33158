//! How this process was started: another is started in the same way.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf, absolute},
    process::Command,
};

/// The file that a process was started from and its arguments.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Not where links lead to: the file that is there at an upgrade is what is started then.
    program: PathBuf,
    name: OsString,
    args: Vec<OsString>,
}

impl Invocation {
    /// Of this process. To be taken when it starts: later the kernel may know its file as a deleted one.
    ///
    /// # Errors
    /// Where the system does not say which file is running.
    pub fn of_this_process() -> io::Result<Self> {
        let running = env::current_exe()?;
        let mut args = env::args_os();
        let name = args.next().unwrap_or_default();
        let program = program(&name, env::var_os("PATH").as_deref(), running);
        Ok(Self { program, name, args: args.collect() })
    }

    /// The file.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Starts the file that is there now, with the same arguments, environment and working directory.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0(&self.name).args(&self.args);
        command
    }
}

/// The path that was asked for, where it leads to the file that is running; else that file's own.
fn program(name: &OsStr, path: Option<&OsStr>, running: PathBuf) -> PathBuf {
    let is_running = |candidate: &PathBuf| is_same(candidate, &running);
    let asked = if Path::new(name).components().count() > 1 {
        absolute(name).ok().filter(is_running)
    } else {
        path.into_iter().flat_map(env::split_paths).map(|folder| folder.join(name)).find(is_running)
    };
    asked.unwrap_or(running)
}

fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    id(one).is_some_and(|one| Some(one) == id(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn it_is_the_path_that_was_asked_for_and_not_where_its_link_leads() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("bin")).unwrap();
        for name in ["gateway-1", "other"] {
            fs::write(at(name), name).unwrap();
        }
        symlink("../gateway-1", at("bin/gateway")).unwrap();
        let paths = env::join_paths([at("nowhere"), at("bin")]).unwrap();
        let check = |name: &OsStr, expected: &str| {
            assert_eq!(program(name, Some(&paths), at("gateway-1")), at(expected), "{}", name.display());
        };
        check(at("bin/gateway").as_os_str(), "bin/gateway");
        check(OsStr::new("gateway"), "bin/gateway");
        check(OsStr::new("-portcullis"), "gateway-1");
        check(at("other").as_os_str(), "gateway-1");
        check(OsStr::new(""), "gateway-1");
    }
}
