//! The configurations that were in force, on disk: what `portcullis rollback` goes back to.

use crate::config::Env;
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown},
    path::{self, Path, PathBuf},
};

/// Where systemd keeps what a unit with `StateDirectory=portcullis` leaves, for whoever asks from outside the unit.
const OF_SYSTEMD: &str = "/var/lib/portcullis";
/// Files in a folder that are looked at: far more than are ever kept.
const FILES_MAX: usize = 10_000;
/// A configuration may name places and people: it is for its owner's eyes, like the folder that it is kept in.
const OWNERS_FILE: u32 = 0o600;
const OWNERS_FOLDER: u32 = 0o700;

/// What one configuration file held whenever a gateway took it up.
#[derive(Debug, Clone)]
pub struct History {
    folder: PathBuf,
}

/// A configuration that was in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// When it was taken up, in Unix milliseconds.
    pub since_ms: i64,
    /// The revision that it had.
    pub revision: String,
    /// Where it is kept.
    pub path: PathBuf,
}

impl History {
    /// The places where the history of `file` may be, the one first that a gateway started from here keeps it in: the
    /// `STATE_DIRECTORY` that systemd gives, else the user's state directory (XDG base directories). Empty where the
    /// environment names none.
    ///
    /// # Errors
    /// Where there is no current directory to take a relative path from.
    pub fn places(file: &Path, env: &Env<'_>) -> io::Result<Vec<Self>> {
        let mut file = path::absolute(file)?;
        // However the folder is spelled. The file itself may be a link that leads elsewhere each time.
        if let (Some(folder), Some(name)) =
            (file.parent().and_then(|folder| folder.canonicalize().ok()), file.file_name())
        {
            file = folder.join(name);
        }
        let digest = Sha256::digest(file.as_os_str().as_encoded_bytes());
        let id: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = |state: PathBuf| Self { folder: state.join("history").join(format!("{name}-{id}")) };
        Ok(state_directories(env).into_iter().map(place).collect())
    }

    /// The history that is kept in this folder.
    #[must_use]
    pub fn within(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where it is kept.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is kept, the newest first. Nothing where there is no history.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn entries(&self) -> io::Result<Vec<Past>> {
        let files = match fs::read_dir(&self.folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut entries: Vec<Past> = files.take(FILES_MAX).filter_map(|file| Past::at(file.ok()?.path())).collect();
        entries.sort_by(|a, b| (b.since_ms, &b.path).cmp(&(a.since_ms, &a.path)));
        Ok(entries)
    }

    /// Keeps a configuration as the newest, once, and `keep` in all.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn record(&self, now_ms: i64, revision: &str, text: &str, keep: usize) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(OWNERS_FOLDER).create(&self.folder)?;
        let entries = self.entries()?;
        if entries.first().is_some_and(|newest| newest.text().is_ok_and(|kept| kept == text)) {
            return Ok(());
        }
        // After a clock that was set back, too, the newest has to be the first.
        let since_ms = entries.first().map_or(now_ms, |newest| now_ms.max(newest.since_ms.saturating_add(1)));
        replace(&self.folder.join(format!("{since_ms:015}-{revision}.yaml")), text, OWNERS_FILE)?;
        let (same, others): (Vec<Past>, Vec<Past>) =
            entries.into_iter().partition(|past| past.text().is_ok_and(|kept| kept == text));
        let too_many = others.iter().skip(keep.saturating_sub(1));
        same.iter().chain(too_many).try_for_each(|old| fs::remove_file(&old.path))
    }

    /// Keeps a text that was never in force, and says where: what somebody wrote by hand is not lost with the next
    /// word. Of such texts `keep` are kept, and always this one.
    ///
    /// # Errors
    /// Where it cannot be written, or those that are too many not be removed.
    pub fn set_aside(&self, now_ms: i64, text: &[u8], keep: usize) -> io::Result<PathBuf> {
        let path = self.folder.join(format!("{now_ms:015}.aside"));
        replace(&path, text, OWNERS_FILE)?;
        let files = fs::read_dir(&self.folder)?.take(FILES_MAX).filter_map(|file| Some(file.ok()?.path()));
        let mut others: Vec<PathBuf> =
            files.filter(|file| *file != path && file.extension().is_some_and(|kind| kind == "aside")).collect();
        // Their names begin with when.
        others.sort_unstable_by(|a, b| b.cmp(a));
        for old in others.iter().skip(keep.saturating_sub(1)) {
            match fs::remove_file(old) {
                // Somebody else has removed it.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(path)
    }
}

impl Past {
    fn at(path: PathBuf) -> Option<Self> {
        let (since_ms, revision) = path.file_name()?.to_str()?.strip_suffix(".yaml")?.split_once('-')?;
        let (since_ms, revision) = (since_ms.parse().ok()?, revision.to_owned());
        Some(Self { since_ms, revision, path })
    }

    /// What the configuration was.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn text(&self) -> io::Result<String> {
        fs::read_to_string(&self.path)
    }
}

/// Puts a text in the place of a file as one step: whoever reads sees the old one or the new one, whole. It belongs to
/// whom that belonged.
///
/// # Errors
/// Where the folder cannot be written, or the file not be given away. It is as it was then.
pub fn replace(path: &Path, text: impl AsRef<[u8]>, mode: u32) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = write_new(&new, text.as_ref(), mode)
        .and_then(|()| give_to_owner_of(path, &new))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // It may not have come to be.
        drop(fs::remove_file(&new));
    }
    written
}

fn write_new(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // What the mask of the process took away.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text)?;
    file.sync_all()
}

/// A gateway may read its configuration as the file's group only, and not as whoever puts another there.
fn give_to_owner_of(path: &Path, new: &Path) -> io::Result<()> {
    let Ok(there) = fs::metadata(path) else { return Ok(()) };
    let made = fs::metadata(new)?;
    if (made.uid(), made.gid()) == (there.uid(), there.gid()) {
        return Ok(());
    }
    chown(new, Some(there.uid()), Some(there.gid()))
}

fn state_directories(env: &Env<'_>) -> Vec<PathBuf> {
    // A folder whose name is no UTF-8 comes with another name.
    let is_name = |value: &String| !value.is_empty() && !value.contains(char::REPLACEMENT_CHARACTER);
    let set = |name: &str| env(name).filter(is_name);
    // It may be a list (systemd.exec(5)).
    let of_unit = set("STATE_DIRECTORY").and_then(|list| list.split(':').next().map(PathBuf::from));
    let of_user = set("XDG_STATE_HOME").map(PathBuf::from);
    let of_user = of_user.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    let of_user = of_user.map(|state| state.join("portcullis"));
    // The specification has relative paths ignored.
    let named = of_unit.into_iter().chain(of_user).filter(|path| path.is_absolute());
    named.chain([PathBuf::from(OF_SYSTEMD)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(history: &History) -> Vec<String> {
        history.entries().unwrap().iter().map(|past| format!("{} {}", past.revision, past.text().unwrap())).collect()
    }

    #[test]
    fn the_newest_is_the_first_and_the_oldest_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::within(&folder.path().join("history"));
        assert_eq!(kept(&history), [""; 0], "there is none yet");
        for (now_ms, revision, text) in [(5, "r1", "a"), (6, "r2", "b"), (7, "r3", "b"), (3, "r4", "c"), (8, "r5", "a")]
        {
            history.record(now_ms, revision, text, 3).unwrap();
        }
        assert_eq!(kept(&history), ["r5 a", "r4 c", "r2 b"], "the same text twice is one, and no clock is believed");
        history.record(9, "r6", "b", 3).unwrap();
        assert_eq!(kept(&history), ["r6 b", "r5 a", "r4 c"], "what comes back is the newest, and crowds nothing out");
        fs::write(history.folder().join("notes.txt"), "of somebody").unwrap();
        let aside = history.set_aside(9, b"x: [", 3).unwrap();
        assert_eq!((kept(&history).len(), fs::read(&aside).unwrap().as_slice()), (3, &b"x: ["[..]));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&aside), mode(history.folder())), (0o600, 0o700));
    }

    #[test]
    fn of_what_was_set_aside_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::within(folder.path());
        history.record(1, "r1", "a", 3).unwrap();
        for (now_ms, keep, expected) in
            [(5, 2, &["5"][..]), (7, 2, &["7", "5"]), (6, 2, &["7", "6"]), (8, 2, &["8", "7"]), (9, 0, &["9"])]
        {
            history.set_aside(now_ms, now_ms.to_string().as_bytes(), keep).unwrap();
            let is_aside = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "aside");
            let mut aside: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
            aside.retain(is_aside);
            aside.sort_unstable();
            let texts: Vec<_> = aside.iter().rev().map(|path| fs::read_to_string(path).unwrap()).collect();
            assert_eq!(texts, expected, "{now_ms}");
        }
        assert_eq!(kept(&history), ["r1 a"], "what was in force is not touched");
    }

    #[test]
    fn a_history_is_kept_where_the_system_wants_state() {
        let at = |variables: &[(&str, &str)]| {
            let env = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let places = History::places(Path::new("/etc/gateway.yaml"), &env).unwrap();
            places.first().unwrap().folder().parent().unwrap().display().to_string()
        };
        for (variables, expected) in [
            (&[("STATE_DIRECTORY", "/var/lib/p:/var/lib/q"), ("HOME", "/root")][..], "/var/lib/p/history"),
            (&[("XDG_STATE_HOME", "/state"), ("HOME", "/root")], "/state/portcullis/history"),
            (&[("XDG_STATE_HOME", ""), ("HOME", "/root")], "/root/.local/state/portcullis/history"),
            (&[("HOME", "relative")], "/var/lib/portcullis/history"),
        ] {
            assert_eq!(at(variables), expected, "{variables:?}");
        }
        let place = |file: &str| History::places(Path::new(file), &|_| None).unwrap().remove(0).folder;
        assert_ne!(place("/etc/a/gateway.yaml"), place("/etc/b/gateway.yaml"));
    }
}
