//! Real Redis servers on free ports.

use super::{PATIENCE, eventually};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server of its own. Killed when dropped.
pub struct Redis {
    child: Option<Child>,
    port: u16,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
}

impl Redis {
    /// A server that forgets everything when it ends.
    pub fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    /// A server that forgets nothing.
    pub fn lasting() -> Self {
        Self::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
    }

    /// A server with these arguments beside port and folder.
    pub fn with(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let folder = tempfile::tempdir().expect("a folder for the server");
        let mut server = Self { child: None, port: 0, arguments, folder };
        // Another process may take the port between its choice and its use.
        for _ in 0..10 {
            server.port = free_port();
            if server.try_spawn() {
                return server;
            }
        }
        panic!("redis-server did not start on any of ten ports");
    }

    fn try_spawn(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        // A configuration file that it may rewrite: Sentinel and CONFIG REWRITE need one.
        let file = self.folder.path().join("redis.conf");
        if !file.exists() {
            std::fs::write(&file, "").expect("the configuration is written");
        }
        let port = ["--port".to_owned(), self.port.to_string(), "--bind".to_owned(), "127.0.0.1".to_owned()];
        command.arg(&file).args(port).args(["--dir".as_ref(), self.folder.path().as_os_str()]).args(&self.arguments);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(spawned.unwrap_or_else(|error| {
            panic!("redis-server cannot be run ({error}): install the system's package `redis-server`")
        }));
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up && self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
        {
            if self.is_serving() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        false
    }

    /// Whether it is this server that answers, and not one of another test that was faster to take the port.
    fn is_serving(&self) -> bool {
        let info = self.try_ask(&["INFO", "server"]).ok().and_then(|info| redis::from_redis_value::<String>(info).ok());
        info.is_some_and(|info| info.contains(&format!("process_id:{}\r\n", self.pid())))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Asks it something on a connection of its own.
    pub fn try_ask(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let wait = Duration::from_secs(5);
        let mut connection = redis::Client::open(self.url())?.get_connection_with_timeout(wait)?;
        connection.set_read_timeout(Some(wait))?;
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query(&mut connection)
    }

    /// Asks it something that it answers.
    pub fn ask(&self, words: &[&str]) -> redis::Value {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Asks it for a text.
    pub fn text(&self, words: &[&str]) -> String {
        redis::from_redis_value(self.ask(words)).expect("a text")
    }

    /// How often a command was called, in scripts too.
    pub fn calls(&self, command: &str) -> u64 {
        let stats = self.text(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().expect("a number"))
    }

    /// Ends it as if the machine had lost power.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A stopped process takes no notice of anything but this.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Starts it again, on the same port and with what its folder has.
    pub fn start_again(&mut self) {
        eventually("the server's second start", || self.try_spawn().then_some(()));
    }

    /// Stops it as it stands: connections stay open, and nothing is answered.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody has at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A primary, a replica of it, and three Sentinels that watch them.
pub struct Watched {
    /// The servers; the first is the primary at the start.
    pub servers: [Redis; 2],
    /// Who watches.
    pub sentinels: Vec<Redis>,
}

impl Watched {
    /// Starts them, and waits until the Sentinels know of the replica.
    pub fn start() -> Self {
        let primary = Redis::start();
        let port = primary.port().to_string();
        let replica = Redis::with(&["--save", "", "--replicaof", "127.0.0.1", &port]);
        eventually("the replication", || {
            replica.text(&["INFO", "replication"]).contains("master_link_status:up").then_some(())
        });
        let sentinels: Vec<Redis> = (0..3).map(|_| Redis::with(&["--sentinel"])).collect();
        for sentinel in &sentinels {
            sentinel.ask(&["SENTINEL", "MONITOR", "main", "127.0.0.1", &port, "2"]);
            for (option, value) in [("down-after-milliseconds", "500"), ("failover-timeout", "3000")] {
                sentinel.ask(&["SENTINEL", "SET", "main", option, value]);
            }
        }
        eventually("that the Sentinels know everybody", || {
            let knows = |sentinel: &Redis| {
                let info = sentinel.text(&["INFO", "sentinel"]);
                info.contains("slaves=1") && info.contains("sentinels=3")
            };
            sentinels.iter().all(knows).then_some(())
        });
        Self { servers: [primary, replica], sentinels }
    }
}

/// Three primaries that share the slots.
pub fn cluster() -> Vec<Redis> {
    let nodes: Vec<Redis> = (0..3).map(|_| Redis::with(&["--save", "", "--cluster-enabled", "yes"])).collect();
    let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port()));
    let made = Command::new("redis-cli").args(["--cluster", "create"]).args(addresses).arg("--cluster-yes").output();
    let made = made.expect("redis-cli runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    eventually("the cluster", || {
        let is_ok = |node: &Redis| node.text(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        nodes.iter().all(is_ok).then_some(())
    });
    nodes
}
