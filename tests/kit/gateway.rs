//! A real gateway process on free ports.

use super::{PATIENCE, eventually};
use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

/// The private key that every test gateway signs with.
pub const SIGNER_PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";

/// A gateway that serves. Killed when dropped, with the processes that have taken its place.
pub struct Gateway {
    child: Child,
    listeners: HashMap<String, SocketAddr>,
    stdout: Arc<Mutex<Vec<String>>>,
    stderr: Arc<Mutex<Vec<String>>>,
    config: PathBuf,
    _folder: tempfile::TempDir,
}

/// A gateway that did not start.
#[derive(Debug)]
pub struct NotStarted {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// The built binary.
pub fn portcullis() -> Command {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
}

impl Gateway {
    /// Starts a gateway from this configuration.
    pub fn start(yaml: &str) -> Self {
        Self::try_start(yaml).unwrap_or_else(|not| panic!("the gateway did not start: {not:?}"))
    }

    /// Starts a gateway whose output nobody reads once it is ready; the pipes stay open.
    pub fn start_unread(yaml: &str) -> Self {
        Self::spawn(portcullis(), yaml, Output::Unread)
            .unwrap_or_else(|not| panic!("the gateway did not start: {not:?}"))
    }

    /// Starts a gateway, or says how it failed.
    pub fn try_start(yaml: &str) -> Result<Self, NotStarted> {
        Self::spawn(portcullis(), yaml, Output::Read)
    }

    /// Starts a gateway by a command without arguments.
    pub fn start_by(command: Command, yaml: &str) -> Self {
        Self::spawn(command, yaml, Output::Read).unwrap_or_else(|not| panic!("the gateway did not start: {not:?}"))
    }

    fn spawn(mut command: Command, yaml: &str, output: Output) -> Result<Self, NotStarted> {
        let folder = tempfile::tempdir().expect("a folder for the configuration");
        let config: PathBuf = folder.path().join("gateway.yaml");
        fs::write(&config, yaml).expect("the configuration is written");
        let mut child = command
            .arg("run")
            .arg(&config)
            .env("TEST_SIGNER", SIGNER_PEM)
            .env("XDG_STATE_HOME", folder.path().join("state"))
            .env_remove("STATE_DIRECTORY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = gather(child.stdout.take().expect("stdout is piped"), output);
        // Where it is not taken, the child's handle keeps it open.
        let stderr = match output {
            Output::Read => gather(child.stderr.take().expect("stderr is piped"), output),
            Output::Unread => Arc::default(),
        };
        let give_up = Instant::now() + PATIENCE;
        loop {
            let announced = stdout.lock().unwrap().iter().find_map(|line| ready(line));
            if let Some(listeners) = announced {
                return Ok(Self { child, listeners, stdout, stderr, config, _folder: folder });
            }
            if let Some(status) = child.try_wait().expect("the process can be asked") {
                let text = |lines: &Mutex<Vec<String>>| lines.lock().unwrap().join("\n");
                // The gathering threads hold the other reference until the pipes end.
                eventually("the end of the output", || {
                    (Arc::strong_count(&stderr) == 1 && Arc::strong_count(&stdout) == 1).then_some(())
                });
                return Err(NotStarted { status, stdout: text(&stdout), stderr: text(&stderr) });
            }
            assert!(Instant::now() < give_up, "no ready line: {:?}", stderr.lock().unwrap());
            thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// The file that it was started from.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Where it keeps what outlives it.
    pub fn state(&self) -> PathBuf {
        self.config.with_file_name("state")
    }

    /// The address that a listener was bound to.
    pub fn address(&self, listener: &str) -> SocketAddr {
        self.listeners[listener]
    }

    /// The id of the process that was started first.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The ids of all processes that were ready, the first of them first.
    pub fn pids(&self) -> Vec<u32> {
        let pid = |line: &String| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line["event"] == "ready").then(|| line["pid"].as_u64())?.map(|pid| pid as u32)
        };
        self.stdout.lock().unwrap().iter().filter_map(pid).collect()
    }

    /// The addresses of the listeners of the process that was ready last.
    pub fn addresses_now(&self) -> HashMap<String, SocketAddr> {
        self.stdout.lock().unwrap().iter().rev().find_map(|line| ready(line)).expect("it was ready")
    }

    /// The first access line that `is` it.
    pub fn access_line(&self, is: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        eventually("an access line", || {
            let lines = self.stdout.lock().unwrap();
            lines.iter().filter_map(|line| serde_json::from_str(line).ok()).find(|line| is(line))
        })
    }

    /// Waits for a line of the process log that says so.
    pub fn log_line(&self, what: &str) {
        eventually(what, || self.stderr.lock().unwrap().iter().any(|line| line.contains(what)).then_some(()));
    }

    /// The first line of the process log that `is` it, where there is one by now.
    pub fn logged(&self, is: impl Fn(&serde_json::Value) -> bool) -> Option<serde_json::Value> {
        let lines = self.stderr.lock().unwrap();
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).find(|line| is(line))
    }

    /// Whether anything in it panicked so far.
    pub fn has_panicked(&self) -> bool {
        self.has_logged("panicked")
    }

    /// Whether a line of its log has this in it.
    pub fn has_logged(&self, text: &str) -> bool {
        self.stderr.lock().unwrap().iter().any(|line| line.contains(text))
    }

    /// Sends a signal by its name, such as `TERM`, to the process that was started first.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for the process to end by itself.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("the end of the process", || self.child.try_wait().expect("the process can be asked"))
    }
}

/// Sends a signal by its name to a process that is there.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(sent.expect("kill runs").success());
}

/// Whether a process has ended, even if nobody has asked for its exit code.
pub fn has_ended(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    // Its name, in parentheses, may have any letters.
    state.is_none_or(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

impl Drop for Gateway {
    fn drop(&mut self) {
        for pid in self.pids().into_iter().filter(|pid| *pid != self.child.id() && !has_ended(*pid)) {
            signal(pid, "KILL");
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What becomes of the output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Read,
    Unread,
}

/// The lines that a process writes, as they come.
pub fn lines(from: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    gather(from, Output::Read)
}

fn gather(from: impl Read + Send + 'static, output: Output) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&lines);
    thread::spawn(move || {
        let mut lines = BufReader::new(from).lines().map_while(Result::ok);
        for line in lines.by_ref() {
            let is_last = output == Output::Unread && ready(&line).is_some();
            into.lock().unwrap().push(line);
            if is_last {
                // Closing the pipe would be another thing than not reading it.
                return std::mem::forget(lines);
            }
        }
    });
    lines
}

fn ready(line: &str) -> Option<HashMap<String, SocketAddr>> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    if line["event"] != "ready" {
        return None;
    }
    let listeners = line["listeners"].as_object()?;
    listeners.iter().map(|(name, address)| Some((name.clone(), address.as_str()?.parse().ok()?))).collect()
}
