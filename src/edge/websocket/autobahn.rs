//! An echo that speaks with this codec, for the Autobahn suite: a gateway's own endpoint echoes nothing.

use super::socket::{Said, Socket, message};
use bytes::{Bytes, BytesMut};
use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    thread,
};
use tungstenite::handshake::derive_accept_key;

/// What case 9 sends at once.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
const READ_BYTES: usize = 64 << 10;

#[test]
#[ignore = "run by tests/conformance/autobahn/run"]
fn the_suite_finds_nothing() {
    let suite = env::var_os("AUTOBAHN").expect("a program that takes the echo's URL");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that breaks off is what some cases are about.
            thread::spawn(|| echo(stream?));
        }
    });
    assert!(Command::new(suite).arg(url).status().unwrap().success());
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    accept(&mut stream)?;
    let mut socket = Socket::new(MESSAGE_BYTES_MAX);
    let mut read = vec![0; READ_BYTES];
    loop {
        let bytes = stream.read(&mut read)?;
        if bytes == 0 {
            return Ok(());
        }
        socket.feed(Bytes::copy_from_slice(&read[..bytes]));
        let mut frames = BytesMut::new();
        let is_over = loop {
            match socket.next() {
                Ok(None) => break false,
                Ok(Some(Said::Message(said, codec))) => frames.extend_from_slice(&message(&said, codec)),
                Ok(Some(Said::Control(_))) => frames.extend_from_slice(&socket.take_answers()),
                Ok(Some(Said::Close)) => break true,
                Err(close) => {
                    socket.close(close);
                    break true;
                }
            }
        };
        frames.extend_from_slice(&socket.take_answers());
        stream.write_all(&frames)?;
        if is_over {
            // Closed with something unread, the connection would be reset, and the close be lost with it.
            stream.shutdown(Shutdown::Write)?;
            return io::copy(&mut stream, &mut io::sink()).map(drop);
        }
    }
}

fn accept(stream: &mut TcpStream) -> io::Result<()> {
    let lines = BufReader::new(&*stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let key =
        head.iter().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).ok_or(io::ErrorKind::InvalidData)?;
    let accept = derive_accept_key(key.as_bytes());
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    stream.write_all(format!("{answer}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes())
}
