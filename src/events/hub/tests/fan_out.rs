//! An event reaches every stream that it is for, in the order received, signed once.

use super::*;
use std::task::{Context, Waker};

#[test]
fn ten_thousand_streams_share_one_signature_and_one_encoding() {
    let (hub, mut publisher) = hub(limits());
    let names: Vec<String> = (0..10_000).map(|n| format!("user-{}/{n}", n / 4)).collect();
    let mut streams: Vec<_> = names.iter().map(|name| open(&hub, name)).collect();
    let before = hub.counts();
    for id in ["1", "2", "3"] {
        publish(&mut publisher, "", id);
    }
    let first: Vec<_> = (0..3).map(|_| event(&mut streams[0])).collect();
    for stream in &mut streams[1..] {
        for expected in &first {
            assert!(Arc::ptr_eq(&event(stream), expected));
        }
        assert!(stream.try_next().is_none());
    }
    let after = hub.counts();
    assert_eq!((after.signed - before.signed, after.queued, after.streams), (3, 30_000, 10_000));
    first.iter().for_each(|encoded| verify(encoded));
    drop(streams);
    assert_eq!(hub.counts().streams, 0);
}

#[test]
fn an_event_reaches_those_that_it_is_for() {
    const DEVICES: [&str; 4] = ["ann/phone", "ann/tablet", "bob/phone", "zoe/phone"];
    for (to, reached, subject) in [
        ("", [true; 4], ""),
        ("ann", [true, true, false, false], "ann"),
        ("ann/phone", [true, false, false, false], "ann"),
        ("/bob/phone", [false, false, true, false], "bob"),
        ("eve", [false; 4], ""),
        ("/eve/phone", [false; 4], ""),
    ] {
        let (hub, mut publisher) = hub(limits());
        let mut streams = DEVICES.map(|device| open(&hub, device));
        let signed = hub.counts().signed;
        publish(&mut publisher, to, "1");
        for (stream, is_reached) in streams.iter_mut().zip(reached) {
            let subject = is_reached.then(|| subject.to_owned());
            let found = stream.try_next().map(|delivery| match delivery {
                Delivery::Event(encoded) => encoded.event.subject.clone(),
                other => panic!("{other:?}"),
            });
            assert_eq!(found, subject, "{to}");
        }
        let is_signed = reached.contains(&true);
        assert_eq!(hub.counts().signed - signed, u64::from(is_signed), "{to}: nobody's event costs no signature");
    }
    let (hub, mut publisher) = hub(limits());
    let mut stream = open(&hub, "ann/phone");
    publisher.event(ClientEvent { user_id: "bob".to_owned(), ..pushed("/ann/phone", "1") }, "1").unwrap();
    assert!(stream.try_next().is_none(), "a device of another user");
}

#[test]
fn the_fields_are_those_that_were_pushed() {
    let (hub, mut publisher) = hub(limits());
    let mut stream = open(&hub, "ann/phone");
    publisher.event(pushed("ann", "e-1"), "c-1").unwrap();
    let encoded = event(&mut stream);
    verify(&encoded);
    let found = &encoded.event;
    let texts = [&found.event_type, &found.event_id, &found.request_id, &found.trace_id, &found.position];
    assert_eq!(texts, ["game.turn", "e-1", "req-9", "trace-9", "c-1"]);
    assert_eq!((found.timestamp_ms, found.payload_bytes.len()), (1_700_000_000_000, 32));
    let json: Event = serde_json::from_slice(encoded.json()).unwrap();
    assert_eq!(json, *found);
    assert_eq!(encoded.json().as_ptr(), encoded.json().as_ptr(), "the JSON is written once, too");
    publisher.event(ClientEvent { timestamp_ms: 0, ..pushed("ann", "e-2") }, "c-2").unwrap();
    assert!(event(&mut stream).event.timestamp_ms > 1_700_000_000_000, "stamped on receipt");
}

#[test]
fn what_is_no_event_for_devices_is_not_handed_on() {
    let (hub, mut publisher) = hub(limits());
    let mut stream = open(&hub, "ann/phone");
    let kind = |kind: &str| ClientEvent { kind: kind.to_owned(), ..pushed("ann", "1") };
    for (pushed, cursor, expected) in [
        (kind("a"), "", PushFault::NoCursor),
        (kind(""), "c", PushFault::NoKind),
        (kind("gateway.heartbeat"), "c", PushFault::ReservedKind),
    ] {
        assert_eq!(publisher.event(pushed, cursor), Err(expected));
    }
    assert_eq!(publisher.invalidate(&SessionInvalidation::default(), "c"), Err(PushFault::NobodyNamed));
    assert!(stream.try_next().is_none());
    assert_eq!(&*hub.position(), "c", "the cursor of an invalidation counts all the same");
}

#[test]
fn the_first_event_tells_the_time_and_is_signed() {
    let (hub, mut publisher) = hub(limits());
    let mut first = hub.subscribe(asked("ann/phone", "")).unwrap();
    let encoded = event(&mut first);
    verify(&encoded);
    assert!(!encoded.event.position.is_empty());
    publish(&mut publisher, "bob", "c-7");
    let mut second = hub.subscribe(Subscription { request_id: "a\"b", ..asked("ann/phone", "") }).unwrap();
    let found = event(&mut second).event.clone();
    assert_ne!(found.event_id, encoded.event.event_id);
    let (time, payload) = (found.timestamp_ms, String::from_utf8(found.payload_bytes.to_vec()).unwrap());
    assert_eq!(payload, format!(r#"{{"server_time_ms":{time},"request_id":"a\"b","resumed":true}}"#));
    assert_eq!([found.subject, found.position, found.request_id], ["ann", "c-7", "a\"b"]);
}

#[test]
fn a_stream_has_the_types_that_it_named_and_the_gateways_own() {
    let (hub, mut publisher) = hub(limits());
    let event_types = EventTypes::new(vec!["chat".to_owned()]).unwrap();
    let mut stream = hub.subscribe(Subscription { event_types, ..asked("ann/phone", "") }).unwrap();
    assert_eq!(event(&mut stream).event.event_type, "gateway.server_time");
    publish(&mut publisher, "ann", "1");
    publisher.event(ClientEvent { kind: "chat".to_owned(), ..pushed("ann", "2") }, "2").unwrap();
    publisher.lost(Some("3"));
    let kinds = [event(&mut stream), event(&mut stream)].map(|encoded| encoded.event.event_type.clone());
    assert_eq!(kinds, ["chat", "gateway.gap"]);
    assert!(stream.try_next().is_none());

    let names = |count: usize, length: usize| EventTypes::new(vec!["x".repeat(length); count]);
    for (count, length, is_taken) in [(64, 128, true), (65, 1, false), (1, 129, false), (1, 0, false), (0, 0, true)] {
        assert_eq!(names(count, length).is_ok(), is_taken, "{count} of {length}");
    }
    assert_eq!(names(0, 0), Ok(EventTypes::default()));
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_nothing() {
    let (hub, mut publisher) = hub(limits());
    let mut stream = open(&hub, "ann/phone");
    for id in ["1", "2"] {
        assert!(stream.poll_next(&mut Context::from_waker(Waker::noop())).is_pending());
        let wait = tokio::time::timeout(Duration::ZERO, stream.next());
        assert!(wait.await.is_err());
        publish(&mut publisher, "ann", id);
        match stream.next().await {
            Delivery::Event(encoded) => assert_eq!(encoded.event.event_id, id),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_waiting_stream_is_woken() {
    let (hub, mut publisher) = hub(limits());
    let mut stream = open(&hub, "ann/phone");
    let waiting = tokio::spawn(async move { stream.next().await });
    tokio::task::yield_now().await;
    publish(&mut publisher, "ann", "1");
    assert!(matches!(waiting.await.unwrap(), Delivery::Event(_)));
}

/// Beside these: two ids, their places in lists and maps, and what is held on to. 50,000 streams with ids of 36 and 61 bytes took some
/// 670 bytes of memory each, everything included.
#[test]
fn an_idle_stream_is_small() {
    let sizes = [size_of::<Stream>(), size_of::<Subscriber>()];
    assert!(sizes[0] <= 184 && sizes[1] <= 72, "{sizes:?}");
}

#[test]
fn what_is_kept_of_an_event_is_counted_in_all_its_forms() {
    let (hub, _publisher) = hub(limits());
    for bytes in [0, 100, 10_000, 1_000_000] {
        let payload = vec![b'*'; bytes].into();
        let (user_id, kind, event_id) = ("ann".to_owned(), "count".to_owned(), "event-1".to_owned());
        let pushed = ClientEvent { user_id, kind, event_id, payload, ..ClientEvent::default() };
        let entry = Entry::of_client(pushed, "position", 1, Handling::default());
        let encoded = entry.sealed(&hub.sealer, "ann");
        let kept = bytes + encoded.bytes.len() + encoded.json().len();
        assert!(kept <= entry.bytes(), "{kept} of {}", entry.bytes());
    }
}
