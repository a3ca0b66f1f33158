//! Kinds that are handed on in their own way: the latest value only, or not too often.

use super::*;
use tokio::time::{Instant, advance, timeout};

const INTERVAL: Duration = Duration::from_millis(200);

fn kinds() -> BTreeMap<String, KindOptions> {
    let id = || Some(vec![vec!["id".to_owned()]]);
    let paced = Some(INTERVAL);
    [
        ("latest", KindOptions { coalesce: id(), min_interval: None }),
        ("whole", KindOptions { coalesce: Some(vec![]), min_interval: None }),
        ("paced", KindOptions { coalesce: None, min_interval: paced }),
        ("both", KindOptions { coalesce: id(), min_interval: paced }),
    ]
    .map(|(name, options)| (name.to_owned(), options))
    .into()
}

fn hub() -> (Arc<Hub>, Publisher) {
    with_kinds(HubLimits { queue_events_max: 4, ..limits() }, &kinds(), Arc::new(()))
}

/// Publishes to everybody `kind:id`, whose cursor is `cursor`.
fn publish(publisher: &mut Publisher, what: &str, cursor: &str) {
    let (kind, id) = what.split_once(':').unwrap();
    let payload = format!(r#"{{"id":{id:?}}}"#).into();
    publisher.event(ClientEvent { kind: kind.to_owned(), payload, ..pushed("", cursor) }, cursor).unwrap();
}

#[test]
fn the_latest_value_takes_the_place_of_one_that_waits() {
    let (hub, mut publisher) = hub();
    for (sent, expected) in [
        (&["latest:a", "latest:a", "latest:a"][..], &["2"][..]),
        (&["latest:a", "latest:b", "latest:a"], &["1", "2"]),
        (&["latest:a", "other:a", "latest:a", "other:a"], &["1", "2", "3"]),
        (&["whole:a", "latest:a", "whole:b"], &["1", "2"]),
    ] {
        let mut stream = open(&hub, "ann/phone");
        for (at, what) in sent.iter().enumerate() {
            publish(&mut publisher, what, &at.to_string());
        }
        assert_eq!(waiting(&mut stream), expected, "{sent:?}");
    }
    assert_eq!(hub.counts().coalesced, 5);
}

#[test]
fn whoever_reads_nothing_has_room_for_the_latest_of_each() {
    let (hub, mut publisher) = hub();
    let mut stream = open(&hub, "ann/phone");
    for round in 0..1_000 {
        for id in ["a", "b", "c", "d"] {
            publish(&mut publisher, &format!("latest:{id}"), &format!("{id}{round}"));
        }
    }
    assert_eq!(waiting(&mut stream), ["a999", "b999", "c999", "d999"]);
    for id in ["a", "b", "c", "d", "e"] {
        publish(&mut publisher, &format!("latest:{id}"), id);
    }
    assert_eq!(ended(&mut stream), Some(EndReason::ConsumerTooSlow));
}

#[test]
fn what_was_missed_is_the_latest_of_each() {
    let (hub, mut publisher) = hub();
    for (cursor, what) in ["latest:a", "latest:b", "other:a", "latest:a", "other:a"].iter().enumerate() {
        publish(&mut publisher, what, &format!("{cursor}"));
    }
    let (mut stream, is_resumed) = resumed(&hub, "ann/phone", "0");
    assert!(is_resumed);
    assert_eq!(waiting(&mut stream), ["1", "2", "3", "4"]);
    publish(&mut publisher, "latest:b", "5");
    let (mut stream, _) = resumed(&hub, "ann/phone", "0");
    assert_eq!(waiting(&mut stream), ["2", "3", "4", "5"]);
}

/// The id of the next event, and how long it was waited for.
async fn next(stream: &mut Subscriber) -> (String, Duration) {
    let begun = Instant::now();
    match timeout(Duration::from_secs(60), stream.next()).await.unwrap() {
        Delivery::Event(encoded) => (encoded.event.event_id.clone(), begun.elapsed()),
        other => panic!("{other:?}"),
    }
}

fn about(found: &(String, Duration), id: &str, waited: Duration) {
    // tokio's timers are exact to a millisecond.
    let late = found.1.saturating_sub(waited);
    assert!(found.0 == id && found.1 >= waited && late <= Duration::from_millis(2), "{found:?}, not {id} {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_paced_kind_goes_out_once_in_an_interval() {
    let (hub, mut publisher) = hub();
    let mut stream = open(&hub, "ann/phone");
    publish(&mut publisher, "both:a", "0");
    about(&next(&mut stream).await, "0", Duration::ZERO);
    for cursor in 1..100 {
        publish(&mut publisher, "both:a", &cursor.to_string());
        assert!(stream.try_next().is_none());
        advance(Duration::from_millis(1)).await;
    }
    about(&next(&mut stream).await, "99", Duration::from_millis(101));
    advance(INTERVAL).await;
    publish(&mut publisher, "both:a", "100");
    about(&next(&mut stream).await, "100", Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_and_does_not_give_way_comes_together() {
    let (hub, mut publisher) = hub();
    let mut stream = open(&hub, "ann/phone");
    for cursor in ["0", "1", "2"] {
        publish(&mut publisher, "paced:a", cursor);
    }
    // The first is not held, and what came ahead of it went at once; the others came before it had gone.
    assert_eq!(waiting(&mut stream), ["0", "1", "2"]);
    for cursor in ["3", "4", "5"] {
        publish(&mut publisher, "paced:a", cursor);
    }
    about(&next(&mut stream).await, "3", INTERVAL);
    about(&next(&mut stream).await, "4", Duration::ZERO);
    about(&next(&mut stream).await, "5", Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_kind_takes_along_what_is_held_ahead_of_it() {
    let (hub, mut publisher) = hub();
    let mut stream = open(&hub, "ann/phone");
    publish(&mut publisher, "both:a", "0");
    about(&next(&mut stream).await, "0", Duration::ZERO);
    publish(&mut publisher, "both:a", "1");
    publish(&mut publisher, "other:a", "2");
    publish(&mut publisher, "both:b", "3");
    about(&next(&mut stream).await, "1", Duration::ZERO);
    about(&next(&mut stream).await, "2", Duration::ZERO);
    about(&next(&mut stream).await, "3", INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_back_from_a_stream_that_ends() {
    let (hub, mut publisher) = hub();
    let mut stream = open(&hub, "ann/phone");
    publish(&mut publisher, "both:a", "0");
    next(&mut stream).await;
    publish(&mut publisher, "both:a", "1");
    hub.shut_down(Duration::ZERO).await;
    about(&next(&mut stream).await, "1", Duration::ZERO);
    assert_eq!(ended(&mut stream), Some(EndReason::ShuttingDown));
}
