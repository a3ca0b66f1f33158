//! What a backend should not send, and what ends sessions.

use super::*;
use filters::api::{SessionRecord, SessionStatus};

fn session(device_session_id: &str, user_id: &str) -> SessionRecord {
    let (device_session_id, user_id) = (device_session_id.to_owned(), user_id.to_owned());
    SessionRecord { device_session_id, user_id, status: SessionStatus::Active, key: None }
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_ends_streams_and_what_is_in_flight() {
    let mut stage = Stage::new();
    let push = stage.asked("").await.open();
    stage.link(true).await;
    let mut streams = ["ann/phone", "ann/tablet", "bob/phone"].map(|device| stage.subscriber(device));
    let before = stage.invalidations.now();
    push.send(invalidation("", "ann/phone", "1")).await.unwrap();
    assert_eq!(next(&mut streams[0]).await, format!("{:?}", EndReason::SessionRevoked));
    assert!(stage.invalidations.refuses("ann/phone", stage.invalidations.now()));
    push.send(invalidation("bob", "", "2")).await.unwrap();
    assert_eq!(next(&mut streams[2]).await, "SessionRevoked");
    let is_ended = |device, user| stage.invalidations.has_ended(&session(device, user), before);
    assert_eq!([is_ended("ann/phone", "ann"), is_ended("x", "bob"), is_ended("y", "ann")], [true, true, false]);
    push.send(event("3")).await.unwrap();
    assert_eq!(next(&mut streams[1]).await, "3");
    // What comes again after a reconnect does not end a session that was begun since.
    drop(push);
    let push = stage.asked("3").await.open();
    let mut again = stage.subscriber("bob/phone");
    for pushed in [invalidation("bob", "", "2"), event("3"), event("4")] {
        push.send(pushed).await.unwrap();
    }
    assert_eq!(next(&mut again).await, "4");
    assert_eq!(stage.status.counts().invalidations, 2);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_to_everybody_and_drops_cached_sessions() {
    let mut stage = Stage::new();
    let push = stage.asked("").await.open();
    stage.link(true).await;
    let mut subscriber = stage.subscriber("ann/phone");
    push.send(event("1")).await.unwrap();
    assert_eq!(next(&mut subscriber).await, "1");
    let before = stage.invalidations.now();
    push.send(gap("2")).await.unwrap();
    assert_eq!(next(&mut subscriber).await, "gateway.gap");
    assert_ne!(stage.invalidations.now(), before);
    assert_eq!(&*stage.hub.position(), "2");
    // Not even where its cursor is none, or was there before.
    for cursor in ["", "2"] {
        push.send(gap(cursor)).await.unwrap();
        assert_eq!(next(&mut subscriber).await, "gateway.gap");
        assert!(!stage.hub.position().is_empty());
    }
    drop(push);
    stage.asked("2").await;
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_counted_and_passed_over() {
    let mut stage = Stage::new();
    let push = stage.asked("").await.open();
    stage.link(true).await;
    let mut subscriber = stage.subscriber("ann/phone");
    let of_kind = |kind: &str, cursor: &str| {
        let event = ClientEvent { kind: kind.to_owned(), ..ClientEvent::default() };
        Ok(PushEvent { kind: Some(Kind::ClientEvent(event)), cursor: cursor.to_owned() })
    };
    let before = stage.invalidations.now();
    for pushed in [
        of_kind("turn", ""),
        of_kind("", "1"),
        of_kind("gateway.heartbeat", "2"),
        invalidation("", "", "3"),
        event("4"),
    ] {
        push.send(pushed).await.unwrap();
    }
    assert_eq!(next(&mut subscriber).await, "4");
    let counts = stage.status.counts();
    assert_eq!((counts.malformed, counts.events, counts.invalidations), (4, 1, 0));
    assert_ne!(stage.invalidations.now(), before, "some session was ended: none stays cached");
    // Without a cursor it is carried out all the same.
    push.send(invalidation("ann", "", "")).await.unwrap();
    assert_eq!(next(&mut subscriber).await, "SessionRevoked");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_large_is_skipped_and_not_asked_for_for_ever() {
    let mut stage = Stage::new();
    let push = stage.asked("").await.open();
    stage.link(true).await;
    let mut subscriber = stage.subscriber("ann/phone");
    push.send(event("1")).await.unwrap();
    assert_eq!(next(&mut subscriber).await, "1");
    let large = ClientEvent { kind: "turn".to_owned(), payload: vec![0; 2048].into(), ..ClientEvent::default() };
    push.send(Ok(PushEvent { kind: Some(Kind::ClientEvent(large)), cursor: "2".to_owned() })).await.unwrap();
    let push = stage.asked("").await.open();
    assert_eq!(next(&mut subscriber).await, "gateway.gap");
    push.send(event("3")).await.unwrap();
    assert_eq!(next(&mut subscriber).await, "3");
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_whatever_a_subscriber_does() {
    let mut stage = Stage::new();
    let push = stage.asked("").await.open();
    stage.link(true).await;
    let _stalled = stage.subscriber("ann/phone");
    for id in 0..10_000 {
        push.send(event(&id.to_string())).await.unwrap();
    }
    timeout(SECOND * 60, async {
        while stage.status.counts().events < 10_000 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}
