//! Peers that do what no HTTP/2 library does, frame by frame.

use super::*;
use crate::upstream::endpoint::Common;
use prometheus::{Histogram, HistogramOpts};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
/// `:status: 200` and the end of the stream (RFC 7541 appendix A: 0x88 is entry 8 of the static table).
const ANSWER: &[u8] = &[0, 0, 1, HEADERS, 5, 0, 0, 0, 1, 0x88];
const NO_SETTINGS: &[u8] = &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
/// REFUSED_STREAM for stream 1.
const REFUSE: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
/// INTERNAL_ERROR for stream 1.
const FAIL: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2];
/// GOAWAY, NO_ERROR, with 0 as the last stream.
const GO_AWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A peer that says `first` to the first connection's first request, and 200 to that of every further one. Yields its
/// address and how many requests came.
async fn saying(first: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, requests) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        let mut said = first;
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer_one(&mut stream, said).await;
            counted.fetch_add(1, SeqCst);
            said = ANSWER;
            open.push(stream);
        }
    });
    (address, requests)
}

async fn answer_one(stream: &mut TcpStream, said: &[u8]) {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    stream.write_all(NO_SETTINGS).await.unwrap();
    while frame(stream).await != HEADERS {}
    stream.write_all(said).await.unwrap();
}

/// Reads a frame; its type.
async fn frame(stream: &mut TcpStream) -> u8 {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
    head[3]
}

#[tokio::test]
async fn what_the_peer_made_nothing_of_is_sent_once_more() {
    let bare = || Request::get("/").body(StreamBody::Whole(Bytes::new())).unwrap();
    for (first, expected) in [(REFUSE, true), (GO_AWAY, true), (FAIL, false)] {
        for request in [bare(), call("/")] {
            let (address, requests) = saying(first).await;
            // The second of a connection would get no answer.
            let other = saying(ANSWER).await;
            let upstream = upstream(&[address, other.0]);
            let outcome = soon("the outcome", upstream.open(request)).await;
            assert_eq!(outcome.is_ok(), expected, "{first:?}");
            assert_eq!(requests.load(SeqCst) + other.1.load(SeqCst), 1 + usize::from(expected));
        }
    }
    // Of pieces that come one by one it is not known how many are gone.
    let (address, requests) = saying(REFUSE).await;
    let upstream = upstream(&[address, address]);
    let fault = fault(&upstream, endless("/")).await;
    assert!(matches!(&fault, CallFault::Broken { cause, .. } if cause.contains("refused")), "{fault}");
    assert_eq!(requests.load(SeqCst), 1);
}

#[tokio::test]
async fn what_is_refused_twice_is_given_up() {
    let (refusing, other) = ([saying(REFUSE).await, saying(REFUSE).await], saying(ANSWER).await);
    let upstream = upstream(&[refusing[0].0, refusing[1].0, other.0]);
    let fault = fault(&upstream, call("/")).await;
    assert!(matches!(fault, CallFault::Broken { reset: Some(Reason::REFUSED_STREAM), .. }), "{fault}");
    assert_eq!([&refusing[0].1, &refusing[1].1, &other.1].map(|requests| requests.load(SeqCst)), [1, 1, 0]);
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_left() {
    let (address, _) = saying(&[]).await;
    let waits = Waits {
        ping_every: Duration::from_millis(20),
        ping_answer: Duration::from_millis(20),
        ..Waits::from(&options())
    };
    let tls = UpstreamTls::new(&Trust::nobody(), None).unwrap();
    let connect_seconds = Histogram::with_opts(HistogramOpts::new("a", "a")).unwrap();
    let common = Common { upstream: "backend".into(), connect_seconds, waits, tls: &tls };
    let endpoint = Arc::new(Endpoint::new(&format!("http://{address}"), &common).unwrap());
    let Err(Failed { fault, unsent }) = soon("the end", endpoint.open(call("/"))).await else {
        panic!("nobody has answered")
    };
    assert!(matches!(&fault, CallFault::Broken { cause, .. } if cause.contains("keep-alive timed out")), "{fault}");
    assert!(unsent.is_none());
}

#[tokio::test]
async fn a_peer_that_speaks_no_http2_is_out_of_reach_and_says_why() {
    let connect = Duration::from_millis(50);
    for (said, expected) in [
        (Some("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), "it speaks no HTTP/2"),
        (Some(""), "it speaks no HTTP/2"),
        (None, "no connection in 50ms"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(said) = said else {
                    kept.lock().unwrap().push(stream);
                    continue;
                };
                stream.read_exact(&mut [0; 24]).await.unwrap();
                stream.write_all(said.as_bytes()).await.unwrap();
            }
        });
        let connect = if said.is_some() { HANG } else { connect };
        let upstream = upstream_with(&[address], UpstreamOptions { connect, ..options() });
        let fault = fault(&upstream, call("/")).await;
        assert!(matches!(&fault, CallFault::Unreachable { cause, .. } if cause.contains(expected)), "{fault}");
    }
}
