//! Notices that a file is another than it was, however it was replaced.
//!
//! It looks, and is not told: what tells of changes to a directory misses them on network file systems, behind the
//! symbolic links that Kubernetes swaps, and where the directory itself is replaced.

use crate::config::file;
use sha2::{Digest as _, Sha256};
use std::{os::unix::fs::MetadataExt as _, path::PathBuf, time::Duration};
use tokio::{
    fs,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

/// How often it looks. A file that was truncated and is written again is not taken in between: it has to be the same
/// for two looks.
const EVERY: Duration = Duration::from_millis(250);

/// What a file is known by without being read: device, inode, length, and when it or its name was last changed. A file
/// that is not there has none.
type Mark = Option<(u64, u64, u64, i64, i64)>;

/// Looks at files.
pub(super) struct Watch {
    files: Vec<PathBuf>,
    marks: Vec<Mark>,
    /// Of what the files held when they were last taken.
    taken: [u8; 32],
}

impl Watch {
    /// Takes none of them as seen: what happened to them since they were last read is noticed, too.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        Self { files, marks: Vec::new(), taken: [0; 32] }
    }

    /// Looks at these from now on.
    pub(super) fn follow(&mut self, files: Vec<PathBuf>) {
        if files != self.files {
            *self = Self::new(files);
        }
    }

    /// Returns when a file holds something else than it did when this last returned, and has settled. Dropped while
    /// it waits, nothing is missed.
    pub(super) async fn changed(&mut self) {
        let mut looks = interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let marks_now = marks(&self.files).await;
            if marks_now == self.marks {
                continue;
            }
            looks.tick().await;
            if marks(&self.files).await != marks_now {
                continue;
            }
            let content = content(&self.files).await;
            // Written to while it was read?
            if marks(&self.files).await != marks_now {
                continue;
            }
            self.marks = marks_now;
            if content != self.taken {
                self.taken = content;
                return;
            }
        }
    }
}

async fn marks(files: &[PathBuf]) -> Vec<Mark> {
    let mut marks = Vec::with_capacity(files.len());
    for file in files {
        let mark = |file: std::fs::Metadata| {
            let changed = file.ctime().wrapping_mul(1_000_000_000).wrapping_add(file.ctime_nsec());
            let modified = file.mtime().wrapping_mul(1_000_000_000).wrapping_add(file.mtime_nsec());
            (file.dev(), file.ino(), file.len(), changed, modified)
        };
        marks.push(fs::metadata(file).await.ok().map(mark));
    }
    marks
}

async fn content(files: &[PathBuf]) -> [u8; 32] {
    let files = files.to_vec();
    let read = move || {
        let mut digest = Sha256::new();
        for file in files {
            let content = file::read(&file, file::BYTES_MAX).ok();
            // A file that cannot be read is another than an empty one.
            digest.update(content.as_ref().map_or(u64::MAX, |content| content.len() as u64).to_be_bytes());
            digest.update(content.unwrap_or_default());
        }
        digest.finalize().into()
    };
    spawn_blocking(read).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink, process::Command};
    use tokio::time::timeout;

    async fn notices(watch: &mut Watch) -> bool {
        timeout(Duration::from_secs(20), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn every_way_of_replacing_a_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "0").unwrap();
        let mut watch = Watch::new(vec![at("file")]);
        assert!(notices(&mut watch).await, "nothing is seen at first");
        fs::write(at("file"), "1").unwrap();
        assert!(notices(&mut watch).await, "written in place, as long as before");
        fs::write(at("new"), "2").unwrap();
        fs::rename(at("new"), at("file")).unwrap();
        assert!(notices(&mut watch).await, "another renamed over it");
        fs::rename(at("file"), at("file~")).unwrap();
        fs::write(at("file"), "3").unwrap();
        assert!(notices(&mut watch).await, "moved away and written anew");
        fs::remove_file(at("file")).unwrap();
        assert!(notices(&mut watch).await, "removed");
        // Opening it would wait for a writer.
        assert!(Command::new("mkfifo").arg(at("file")).status().unwrap().success());
        assert!(timeout(EVERY * 5, watch.changed()).await.is_err(), "a pipe in its place holds nothing");
        fs::remove_file(at("file")).unwrap();
        fs::create_dir(at("..1")).unwrap();
        fs::write(at("..1/file"), "4").unwrap();
        symlink("..1", at("..data")).unwrap();
        symlink("..data/file", at("file")).unwrap();
        assert!(notices(&mut watch).await, "a link to a link");
        fs::create_dir(at("..2")).unwrap();
        fs::write(at("..2/file"), "5").unwrap();
        symlink("..2", at("..data~")).unwrap();
        fs::rename(at("..data~"), at("..data")).unwrap();
        assert!(notices(&mut watch).await, "the link behind it swapped");
    }

    #[tokio::test]
    async fn what_holds_the_same_is_not_news() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "0").unwrap();
        let mut watch = Watch::new(vec![file.clone()]);
        assert!(notices(&mut watch).await);
        watch.follow(vec![file.clone()]);
        fs::write(&file, "0").unwrap();
        assert!(timeout(EVERY * 5, watch.changed()).await.is_err());
        fs::write(&file, "1").unwrap();
        assert!(notices(&mut watch).await);
    }
}
