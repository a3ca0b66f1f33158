//! The demo tells its story to the end; then whoever changes the file that its gateway runs on sees what comes of it.

use crate::kit::{
    PATIENCE, eventually,
    gateway::{lines, portcullis, signal},
    raw::{Raw, RawAnswer},
};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const FREE_PORTS: [&str; 6] = ["--public-port", "0", "--edge-port", "0", "--admin-port", "0"];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A demo that stays up. Killed when dropped.
struct Demo {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    temp: tempfile::TempDir,
}

impl Demo {
    /// Waits for as long as it goes on with its story.
    fn start() -> Self {
        let temp = tempfile::Builder::new().prefix("two words").tempdir().unwrap();
        let mut command = portcullis();
        command.arg("demo").args(FREE_PORTS).env("TMPDIR", temp.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let demo = Self { said: lines(child.stdout.take().unwrap()), child, temp };
        let (mut lines, mut since) = (0, Instant::now());
        while !demo.has_said(0, "Ctrl-C ends it") {
            let now = demo.lines();
            if now > lines {
                (lines, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < PATIENCE, "{:?}", demo.said.lock().unwrap());
            thread::sleep(Duration::from_millis(5));
        }
        demo
    }

    fn lines(&self) -> usize {
        self.said.lock().unwrap().len()
    }

    fn has_said(&self, since: usize, what: &str) -> bool {
        self.said.lock().unwrap().iter().skip(since).any(|line| line.contains(what))
    }

    /// Does something, and waits until all of this is said.
    fn after<T>(&self, act: impl FnOnce() -> T, expected: &[&str]) -> T {
        let since = self.lines();
        let came = act();
        for what in expected {
            eventually(what, || self.has_said(since, what).then_some(()));
        }
        came
    }

    /// A line to paste that begins so.
    fn to_paste(&self, begins: &str) -> String {
        let said = self.said.lock().unwrap();
        said.iter().map(|line| line.trim()).find(|line| line.starts_with(begins)).unwrap().to_owned()
    }

    /// Types a line that begins so, in a shell.
    fn paste(&self, begins: &str) {
        let line = self.to_paste(begins);
        let pasted = Command::new("sh").arg("-c").arg(&line).output().unwrap();
        assert!(pasted.status.success(), "{line}: {pasted:?}");
    }

    fn folder(&self) -> PathBuf {
        let folders: Vec<_> = fs::read_dir(self.temp.path()).unwrap().map(|folder| folder.unwrap().path()).collect();
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders[0].clone()
    }

    /// Writes this in the place of that.
    fn write(&self, place: &str, with: &str) {
        let file = self.folder().join("gateway.yaml");
        let held = fs::read_to_string(&file).unwrap();
        assert!(held.contains(place), "{place} is not in {held}");
        fs::write(file, held.replace(place, with)).unwrap();
    }

    fn address(&self, listener: &str) -> SocketAddr {
        let said = self.said.lock().unwrap();
        let ready: serde_json::Value = serde_json::from_str(&said[0]).unwrap();
        ready["listeners"][listener].as_str().unwrap().parse().unwrap()
    }

    fn get(&self, listener: &str, path: &str) -> RawAnswer {
        Raw::connect(self.address(listener)).send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer()
    }

    fn ask(&self, command: &str) -> Output {
        let admin = format!("http://{}", self.address("admin"));
        portcullis().args([command, "--admin", &admin]).output().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn the_story_is_told_to_the_end_and_nothing_is_left() {
    let temp = tempfile::tempdir().unwrap();
    let told = portcullis().args(["demo", "--once"]).args(FREE_PORTS).env("TMPDIR", temp.path()).output().unwrap();
    let said = text(&told.stdout);
    assert!(told.status.success(), "{said}\n{}", text(&told.stderr));
    assert!(said.matches('✓').count() > 20 && !said.contains('✗'), "{said}");
    assert!(!said.contains("Ctrl-C") && is_empty(temp.path()), "{said}");
}

#[test]
fn whoever_changes_its_file_sees_the_change_or_what_is_wrong_with_it() {
    let mut demo = Demo::start();
    let smaller = ["in force", "~ budgets.edge_session", r#"["40/10s"] → ["5/10s"]"#];
    demo.after(|| demo.paste("sed -i 's|40/10s"), &smaller);
    assert_eq!(demo.get("admin", "/budgets/edge_session").json()["instance"][0]["rate"], "5/10s");
    demo.after(|| demo.write("/.well-known/jwks.json", "/keys"), &["~ routes.keys"]);
    assert_eq!(demo.get("public", "/keys").status, 200);

    let slip = ["✗ gateway.yaml", "gateway.yaml:", "unknown key `rotues`", "did you mean `routes`?"];
    demo.after(|| demo.paste("sed -i 's|^routes:"), &slip);
    assert_eq!(demo.get("public", "/keys").status, 200, "what was in force goes on");
    let asked = demo.after(|| demo.ask("reload"), &["unknown key `rotues`"]);
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    demo.after(|| signal(demo.child.id(), "HUP"), &["unknown key `rotues`"]);
    demo.after(|| demo.write("rotues:", "routes:"), &["in force as before"]);
    demo.write("/keys", "/others");
    assert_eq!(demo.after(|| demo.ask("reload"), &["/keys → /others"]).status.code(), Some(0));

    let upgrade = demo.ask("upgrade");
    let said = text(&upgrade.stderr);
    assert!(upgrade.status.code() == Some(2) && said.contains("more than a gateway"), "{said}");
    assert_eq!(demo.get("public", "/others").status, 200);
    let folder = demo.folder();
    signal(demo.child.id(), "INT");
    let code = eventually("the end of the demo", || demo.child.try_wait().unwrap()).code();
    assert_eq!((code, folder.exists()), (Some(0), false));
}

#[test]
fn it_can_be_stopped_in_the_middle_of_its_story() {
    let temp = tempfile::tempdir().unwrap();
    let mut command = portcullis();
    command.arg("demo").args(FREE_PORTS).env("TMPDIR", temp.path()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let said = lines(child.stdout.take().unwrap());
    eventually("the announcement", || (!said.lock().unwrap().is_empty()).then_some(()));
    signal(child.id(), "TERM");
    let code = eventually("the end of the demo", || child.try_wait().unwrap()).code();
    assert!(code == Some(0) && is_empty(temp.path()), "{code:?} {:?}", said.lock().unwrap());
    assert!(said.lock().unwrap().iter().all(|line| !line.contains('✗')));
}
