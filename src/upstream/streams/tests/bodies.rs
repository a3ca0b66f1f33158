//! What flows through a stream, and what one that does not flow costs the others.

use super::{
    peer::{Asked, Peer, echo, write},
    *,
};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue};
use http_body_util::StreamBody as Frames;
use hyper::body::Frame;
use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};
use tokio::sync::Notify;

const PIECE: usize = 16 << 10;
const PIECES: usize = 1024;

/// A large body, and how much of it was asked for.
fn large() -> (StreamBody, Arc<AtomicUsize>) {
    let asked_for = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked_for);
    let pieces = (0..PIECES).map(move |_| {
        counted.fetch_add(PIECE, SeqCst);
        Ok(Frame::data(Bytes::from_static(&[7; PIECE])))
    });
    (StreamBody::Flow(Frames::new(futures_util::stream::iter(pieces)).boxed_unsync()), asked_for)
}

#[tokio::test]
async fn a_request_waits_for_a_server_that_does_not_read() {
    let may_read = Arc::new(Notify::new());
    let reads = Arc::clone(&may_read);
    let answer_sizes = move |mut asked: Asked| -> BoxFuture<'static, ()> {
        let reads = Arc::clone(&reads);
        Box::pin(async move {
            if asked.head.uri.path() == "/slow" {
                reads.notified().await;
            }
            let size = asked.read().await.len();
            write(&mut asked.begin(), size.to_string().into(), true).await;
        })
    };
    // What is unread of one request leaves the connection's window to the others.
    let builder = h2::server::Builder::new().initial_connection_window_size(1 << 20).clone();
    let peer = Peer::with(builder, None, answer_sizes).await;
    let upstream = upstream(&[peer.address]);
    let (body, asked_for) = large();
    let mut slow = Box::pin(answer(&upstream, Request::post("/slow").body(body).unwrap()));
    assert!(futures_util::poll!(&mut slow).is_pending());
    // Others get through meanwhile, as often as it takes for the slow one to get as far as it can.
    for _ in 0..100 {
        let (sized, still_waits) = (answer(&upstream, call("/")).await, futures_util::poll!(&mut slow).is_pending());
        assert_eq!((sized.as_ref(), still_waits), (&b"4"[..], true));
    }
    let so_far = asked_for.load(SeqCst);
    // The server's window of 64 KiB, as much that is kept here, and the piece that exceeds each.
    assert!((PIECE..=4 * PIECE * 2 + 2 * PIECE).contains(&so_far), "{so_far}");
    may_read.notify_one();
    assert_eq!(slow.await, (PIECE * PIECES).to_string());
    assert_eq!(asked_for.load(SeqCst), PIECE * PIECES);
    assert_eq!(peer.opened(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_hold_up_nobody_else() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let peer = Peer::start(move |mut asked: Asked| -> BoxFuture<'static, ()> {
        if asked.head.uri.path() != "/large" {
            return echo(asked);
        }
        let sent = Arc::clone(&counted);
        Box::pin(async move {
            let mut answer = asked.begin();
            for piece in 1..=PIECES {
                assert!(write(&mut answer, Bytes::from_static(&[7; PIECE]), piece == PIECES).await);
                sent.fetch_add(PIECE, SeqCst);
            }
        })
    })
    .await;
    let upstream = upstream(&[peer.address]);
    let unread = join_all((0..200).map(|_| upstream.open(call("/large")))).await;
    until("as much as the windows take", || sent.load(SeqCst) >= 200 * 3 * PIECE).await;
    let much = "x".repeat(1 << 20);
    let request = Request::post("/").body(full(much.clone())).unwrap();
    assert!(answer(&upstream, request).await == much);
    let so_far = sent.load(SeqCst);
    assert!(so_far <= 200 * 4 * PIECE, "{so_far}");
    let first = unread.into_iter().next().unwrap().unwrap();
    assert_eq!(whole(first).await.len(), PIECE * PIECES);
    assert_eq!(peer.opened(), 1);
}

#[tokio::test]
async fn trailers_and_headers_pass_both_ways() {
    let peer = Peer::start(|mut asked: Asked| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let body = asked.read().await;
            let mut trailers = asked.body.trailers().await.unwrap().unwrap();
            trailers.insert(
                "seen",
                HeaderValue::from_str(&format!("{} {:?}", asked.head.uri, asked.head.headers)).unwrap(),
            );
            let mut answer = asked.begin();
            write(&mut answer, body.into(), false).await;
            answer.send_trailers(trailers).unwrap();
        })
    })
    .await;
    let upstream = upstream(&[peer.address]);
    let trailers = HeaderMap::from_iter([("sum".parse().unwrap(), HeaderValue::from_static("7"))]);
    let frames = [Frame::data(Bytes::from_static(b"ping")), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
    let body = Frames::new(futures_util::stream::iter(frames)).map_err(|never| match never {}).boxed_unsync();
    let body = StreamBody::Flow(body);
    let request = Request::post("/a?b").header("host", "elsewhere").header("te", "trailers").body(body).unwrap();
    let response = soon("the head", upstream.open(request)).await.unwrap();
    let collected = soon("the body", response.into_body().collect()).await.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(trailers["sum"], "7");
    let seen = format!("http://{}/a?b {{\"te\": \"trailers\"}}", peer.address);
    assert_eq!(trailers["seen"], seen.as_str());
    assert_eq!(collected.to_bytes(), "ping");
}

#[tokio::test]
async fn a_head_that_is_too_large_breaks_its_own_stream_only() {
    let peer = Peer::start(|mut asked: Asked| -> BoxFuture<'static, ()> {
        if asked.head.uri.path() != "/large" {
            return echo(asked);
        }
        Box::pin(async move {
            let value = HeaderValue::from_str(&"x".repeat(1000)).unwrap();
            let mut response = Response::new(());
            for _ in 0..100 {
                response.headers_mut().append("x", value.clone());
            }
            asked.respond.send_response(response, true).unwrap();
        })
    })
    .await;
    let upstream = upstream(&[peer.address]);
    let fault = fault(&upstream, call("/large")).await;
    assert!(matches!(fault, CallFault::Broken { .. }), "{fault}");
    assert_eq!(answer(&upstream, call("/")).await, "ping");
    assert_eq!(peer.opened(), 1);
}
