//! How streams and connections end.

use super::{
    peer::{Asked, Peer, hold, write},
    *,
};
use http_body_util::StreamBody as Frames;
use hyper::body::Frame;
use std::future::poll_fn;
use tokio::sync::mpsc;

/// A server that says why each stream was reset. To `/silent` it answers nothing, to the rest with a head.
async fn telling() -> (Peer, mpsc::UnboundedReceiver<Reason>) {
    let (tell, told) = mpsc::unbounded_channel();
    let answer = move |mut asked: Asked| -> BoxFuture<'static, ()> {
        let tell = tell.clone();
        Box::pin(async move {
            let reason = if asked.head.uri.path() == "/silent" {
                poll_fn(|cx| asked.respond.poll_reset(cx)).await
            } else {
                let mut answer = asked.begin();
                poll_fn(|cx| answer.poll_reset(cx)).await
            };
            tell.send(reason.unwrap()).unwrap();
        })
    };
    (Peer::start(answer).await, told)
}

#[tokio::test]
async fn whoever_drops_an_answer_or_the_wait_for_it_resets_the_stream() {
    let (peer, mut told) = telling().await;
    let upstream = upstream(&[peer.address]);
    for request in [call as fn(&str) -> Request<StreamBody>, endless] {
        drop(soon("the head", upstream.open(request("/"))).await.unwrap());
        assert_eq!(soon("the reset", told.recv()).await, Some(Reason::CANCEL));

        let mut waiting = Box::pin(upstream.open(request("/silent")));
        // The server has it, as it has what was sent after it on the same connection.
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let after = soon("the head", upstream.open(request("/"))).await.unwrap();
        drop(waiting);
        assert_eq!(soon("the reset", told.recv()).await, Some(Reason::CANCEL));
        drop(after);
        assert_eq!(soon("the reset", told.recv()).await, Some(Reason::CANCEL));
    }
    assert_eq!(peer.opened(), 1);
}

#[tokio::test]
async fn a_request_that_fails_on_its_way_resets_the_stream() {
    let (peer, mut told) = telling().await;
    let upstream = upstream(&[peer.address]);
    let (send, frames) = mpsc::unbounded_channel::<Result<Frame<Bytes>, Box<dyn Error + Send + Sync>>>();
    let frames = futures_util::stream::unfold(frames, async |mut frames| Some((frames.recv().await?, frames)));
    let request = Request::post("/").body(StreamBody::Flow(Frames::new(Box::pin(frames)).boxed_unsync())).unwrap();
    let response = soon("the head", upstream.open(request)).await.unwrap();
    send.send(Err("the caller has gone".into())).unwrap();
    assert_eq!(soon("the reset", told.recv()).await, Some(Reason::CANCEL));
    drop(response);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_cancelled_streams_leaves_the_connection_to_the_others() {
    let peer = Peer::start(|mut asked: Asked| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut answer = asked.begin();
            while write(&mut answer, Bytes::from_static(&[7; 300]), false).await {}
        })
    })
    .await;
    let upstream = upstream(&[peer.address]);
    let held = soon("the head", upstream.open(call("/"))).await.unwrap();
    for _ in 0..2000 {
        drop(soon("the head", upstream.open(call("/"))).await.unwrap());
    }
    let mut held = held.into_body();
    for _ in 0..1000 {
        assert!(soon("a frame", held.frame()).await.unwrap().is_ok());
    }
    assert_eq!(peer.opened(), 1);
}

#[tokio::test]
async fn connections_that_are_told_to_go_away_keep_their_streams_and_get_no_more() {
    let peer = Peer::allowing(2, hold).await;
    let upstream = upstream(&[peer.address]);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(soon("the head", upstream.open(call("/hold"))).await.unwrap());
    }
    assert_eq!(peer.opened(), 2);
    // Both have room for one more.
    drop(held.remove(0));
    peer.go_away();
    while peer.opened() == 2 {
        assert_eq!(answer(&upstream, call("/")).await, "ping");
    }
    assert_eq!(answer(&upstream, call("/")).await, "ping");
    assert_eq!((peer.opened(), peer.closed()), (3, 0));
    drop(held);
    until("the end of both connections", || peer.closed() == 2).await;
    assert_eq!(answer(&upstream, call("/")).await, "ping");
    assert_eq!(peer.opened(), 3);
}

#[tokio::test]
async fn a_peer_that_hangs_up_breaks_its_streams() {
    let (peer, _told) = telling().await;
    let upstream = upstream(&[peer.address]);
    let begun = soon("the head", upstream.open(call("/"))).await.unwrap();
    let mut waiting = Box::pin(upstream.open(call("/silent")));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let after = soon("the head", upstream.open(call("/"))).await.unwrap();
    peer.hang_up();
    assert!(soon("the end", begun.into_body().collect()).await.is_err());
    let fault = soon("the fault", waiting).await.unwrap_err();
    assert!(matches!(fault, CallFault::Broken { .. }), "{fault}");
    drop(after);
    until("another connection", || peer.closed() == 1).await;
    drop(soon("the head", upstream.open(call("/"))).await.unwrap());
    assert_eq!(peer.opened(), 2);
}
