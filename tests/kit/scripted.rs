//! A backend that says exactly these bytes, for answers that no HTTP library would give.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// Starts a backend that has a connection handled so, each in its own thread, once a head has come on it. The
/// head is what was read, perhaps with the beginning of a body.
pub fn scripted(script: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    handle(listener, script);
    address
}

/// Starts a backend that gives every request the same bytes.
pub fn saying(answer: &'static str) -> SocketAddr {
    scripted(say(answer))
}

/// The same, on a listener of the test's own.
pub fn saying_on(listener: TcpListener, answer: &'static str) {
    handle(listener, say(answer));
}

fn say(answer: &'static str) -> impl Fn(&mut TcpStream, &str) {
    move |stream, _| drop(stream.write_all(answer.as_bytes()))
}

fn handle(listener: TcpListener, script: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) {
    let script = Arc::new(script);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let script = Arc::clone(&script);
            thread::spawn(move || {
                while let Some(head) = head(&mut stream) {
                    script(&mut stream, &head);
                }
            });
        }
    });
}

fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        head.extend_from_slice(&buffer[..read]);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}
