//! How many connections there are.

use super::{
    peer::{Peer, echo, hold},
    *,
};
use futures_util::future::join_all;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_on_a_cold_endpoint_make_one_connection() {
    let peer = Peer::start(echo).await;
    let upstream = Arc::new(upstream(&[peer.address]));
    let calls = (0..1000).map(|_| {
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move { answer(&upstream, call("/")).await })
    });
    assert!(join_all(calls).await.into_iter().all(|answer| answer.unwrap() == "ping"));
    assert_eq!(peer.opened(), 1);
}

#[tokio::test]
async fn one_connection_serves_call_after_call() {
    let peer = Peer::start(echo).await;
    let upstream = upstream(&[peer.address]);
    for _ in 0..100 {
        assert_eq!(answer(&upstream, call("/")).await, "ping");
    }
    assert_eq!(peer.opened(), 1);
}

#[tokio::test]
async fn a_further_connection_is_made_when_the_peer_allows_no_more_streams() {
    let peer = Peer::allowing(2, hold).await;
    let upstream = upstream(&[peer.address]);
    let mut held = Vec::new();
    for connections in [1, 1, 2, 2, 3] {
        held.push(soon("the head", upstream.open(call("/hold"))).await.unwrap());
        assert_eq!(peer.opened(), connections);
    }
    // Two places are free again, and both on the first connection.
    held.drain(..2);
    for _ in 0..2 {
        held.push(soon("the head", upstream.open(call("/hold"))).await.unwrap());
    }
    assert_eq!(answer(&upstream, call("/")).await, "ping");
    assert_eq!(peer.opened(), 3);
}

#[tokio::test]
async fn calls_stand_in_line_when_there_may_be_no_further_connection() {
    let peer = Peer::allowing(1, hold).await;
    let upstream = upstream(&[peer.address]);
    let held: Vec<_> = join_all((0..64).map(|_| upstream.open(endless("/hold")))).await;
    assert!(held.iter().all(Result::is_ok));
    let waiting = join_all((0..200).map(|_| answer(&upstream, call("/"))));
    let (answers, ()) = tokio::join!(waiting, async { drop(held) });
    assert!(answers.iter().all(|answer| answer == "ping"));
    assert_eq!(peer.opened(), 64);
}

#[tokio::test]
async fn who_leaves_the_line_holds_nobody_up() {
    let peer = Peer::allowing(1, hold).await;
    let upstream = upstream(&[peer.address]);
    let held: Vec<_> = join_all((0..64).map(|_| upstream.open(call("/hold")))).await;
    let impatient = join_all((0..50).map(|_| timeout(Duration::from_millis(1), upstream.open(call("/")))));
    assert!(impatient.await.iter().all(Result::is_err));
    let (answered, ()) = tokio::join!(answer(&upstream, call("/")), async { drop(held) });
    assert_eq!(answered, "ping");
    assert_eq!(peer.opened(), 64);
}

#[tokio::test]
async fn who_goes_away_while_a_connection_is_made_leaves_it_to_the_others() {
    let peer = Peer::start(echo).await;
    let upstream = upstream(&[peer.address]);
    let first = upstream.open(call("/"));
    let mut first = Box::pin(first);
    assert!(futures_util::poll!(&mut first).is_pending());
    drop(first);
    assert_eq!(answer(&upstream, call("/")).await, "ping");
    assert_eq!(peer.opened(), 1);
}

#[tokio::test]
async fn calls_go_to_another_endpoint_when_one_cannot_be_connected_to() {
    let (peer, dead) = (Peer::start(echo).await, nobody().await);
    let upstream = upstream(&[dead, peer.address]);
    for _ in 0..10 {
        assert_eq!(answer(&upstream, call("/")).await, "ping");
    }
    assert_eq!(peer.opened(), 1);
}

#[tokio::test]
async fn all_who_wait_are_told_when_there_is_no_connection() {
    let upstream = upstream(&[nobody().await]);
    let faults = join_all((0..100).map(|_| fault(&upstream, call("/")))).await;
    for fault in faults {
        assert!(matches!(&fault, CallFault::Unreachable { cause, .. } if cause.contains("refused")), "{fault}");
    }
}

#[tokio::test]
async fn a_connection_is_closed_when_it_has_been_idle() {
    let peer = Peer::start(hold).await;
    let idle_timeout = Duration::from_millis(20);
    let upstream = upstream_with(&[peer.address], UpstreamOptions { idle_timeout, ..options() });
    let held = soon("the head", upstream.open(call("/hold"))).await.unwrap();
    sleep(idle_timeout * 3).await;
    assert_eq!(answer(&upstream, call("/")).await, "ping");
    assert_eq!((peer.opened(), peer.closed()), (1, 0), "a connection with a stream is not idle");
    drop(held);
    until("the end of the connection", || peer.closed() == 1).await;
    assert_eq!(answer(&upstream, call("/")).await, "ping");
    assert_eq!(peer.opened(), 2);
}

#[tokio::test]
async fn a_connection_ends_with_its_upstream_when_its_last_stream_has() {
    let peer = Peer::start(hold).await;
    let upstream = upstream(&[peer.address]);
    let held = soon("the head", upstream.open(call("/hold"))).await.unwrap();
    drop(upstream);
    assert_eq!(peer.closed(), 0);
    drop(held);
    until("the end of the connection", || peer.closed() == 1).await;
}
