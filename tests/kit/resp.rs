//! A server that speaks Redis' protocol and says what it is told to.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What INFO says of a server that is fit for use.
pub const FIT: &str = "role:master\r\nloading:0\r\nrun_id:0123456789\r\nmaxmemory_policy:noeviction\r\n";

/// A server that takes every login, and answers claims so.
pub struct Resp {
    address: SocketAddr,
    says: Arc<Mutex<Says>>,
}

/// Answers, as bytes of the protocol.
#[derive(Clone)]
struct Says {
    info: String,
    claim: String,
}

impl Resp {
    /// A server that is fit for use by its INFO, and answers claims so.
    pub fn start(info: &str, claim: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let says = Arc::new(Mutex::new(Says { info: info.to_owned(), claim: claim.to_owned() }));
        let shared = Arc::clone(&says);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let says = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &says));
            }
        });
        Self { address, says }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// What it answers claims from now on.
    pub fn say(&self, claim: &str) {
        claim.clone_into(&mut self.says.lock().unwrap().claim);
    }
}

fn serve(stream: TcpStream, says: &Mutex<Says>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut writer = stream;
    while let Some(words) = words(&mut reader) {
        let says = says.lock().unwrap().clone();
        let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        let answer = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["INFO", ..] => bulk(&says.info),
            ["SCRIPT", "LOAD", text] => bulk(if text.contains("ZADD") { "heartbeat" } else { "other" }),
            ["EVALSHA", "heartbeat", ..] => "*4\r\n:1\r\n$-1\r\n:0\r\n:1\r\n".to_owned(),
            ["EVALSHA", ..] => says.claim,
            _ => "+OK\r\n".to_owned(),
        };
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A command: an array of bulk strings.
fn words(reader: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let length = |sign: char, reader: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line.trim().strip_prefix(sign)?.parse::<usize>().ok()
    };
    let count = length('*', reader)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut bytes = vec![0; length('$', reader)? + 2];
        reader.read_exact(&mut bytes).ok()?;
        words.push(String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned());
    }
    Some(words)
}
