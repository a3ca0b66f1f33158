//! A stream that resumes has every event once, or is told that it does not.

use super::*;
use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

#[test]
fn what_was_missed_comes_first() {
    let (hub, mut publisher) = hub(limits());
    let own = hub.position();
    for (to, id) in [("ann", "1"), ("bob", "2"), ("/ann/phone", "3"), ("", "4"), ("ann/tablet", "5")] {
        publish(&mut publisher, to, id);
    }
    let invalidation = SessionInvalidation { user_id: "bob".to_owned(), ..SessionInvalidation::default() };
    publisher.invalidate(&invalidation, "6").unwrap();
    publish(&mut publisher, "ann", "7");
    for (resume_after, is_resumed, expected) in [
        ("", true, &[][..]),
        (&own, true, &["1", "3", "4", "7"]),
        ("1", true, &["3", "4", "7"]),
        ("2", true, &["3", "4", "7"]),
        ("6", true, &["7"]),
        ("7", true, &[]),
        ("gw-elsewhere", false, &[]),
    ] {
        let (mut stream, found) = resumed(&hub, "ann/phone", resume_after);
        publish(&mut publisher, "bob", &format!("after {resume_after}"));
        assert_eq!((waiting(&mut stream).as_slice(), found), (expected.map_to_owned().as_slice(), is_resumed));
    }
    assert_eq!(hub.counts().not_resumed, 1);
}

trait MapToOwned {
    fn map_to_owned(&self) -> Vec<String>;
}

impl MapToOwned for &[&str] {
    fn map_to_owned(&self) -> Vec<String> {
        self.iter().map(|&text| text.to_owned()).collect()
    }
}

#[test]
fn an_event_for_a_device_alone_has_its_user_as_subject_after_a_resume_too() {
    let (hub, mut publisher) = hub(limits());
    let own = hub.position();
    publish(&mut publisher, "/ann/phone", "1");
    let (mut stream, _) = resumed(&hub, "ann/phone", &own);
    let encoded = event(&mut stream);
    verify(&encoded);
    assert_eq!(encoded.event.subject, "ann");
    let (mut again, _) = resumed(&hub, "ann/phone", &own);
    assert!(Arc::ptr_eq(&event(&mut again), &encoded), "signed once");
}

#[tokio::test(start_paused = true)]
async fn where_history_is_gone_nothing_is_resumed() {
    let (hub, mut publisher) = hub(HubLimits { history_events_max: 2, ..limits() });
    for id in ["1", "2", "3"] {
        publish(&mut publisher, "ann", id);
    }
    let check = |position: &str, expected: Option<&[&str]>| {
        let (mut stream, is_resumed) = resumed(&hub, "ann/phone", position);
        let found = is_resumed.then(|| waiting(&mut stream));
        assert_eq!(found, expected.map(|ids| ids.map_to_owned()), "{position}");
        assert_eq!(waiting(&mut stream), [""; 0]);
    };
    check("1", Some(&["2", "3"]));
    check("0", None);
    tokio::time::advance(Duration::from_secs(121)).await;
    check("1", None);
    check("3", Some(&[]));
}

#[test]
fn a_gap_is_told_to_all_and_nothing_is_resumed_across_it() {
    let (hub, mut publisher) = hub(limits());
    let mut streams = ["ann/phone", "bob/phone"].map(|device| open(&hub, device));
    publish(&mut publisher, "ann", "1");
    publisher.lost(Some("2"));
    publish(&mut publisher, "ann", "3");
    assert_eq!(event(&mut streams[0]).event.event_id, "1");
    let gaps = streams.each_mut().map(event);
    assert!(Arc::ptr_eq(&gaps[0], &gaps[1]));
    verify(&gaps[0]);
    let gap = &gaps[0].event;
    assert_eq!([gap.event_type.as_str(), &gap.position, &gap.subject], ["gateway.gap", "2", ""]);
    assert_eq!(gap.payload_bytes, br#"{"position":"2"}"#.as_slice());
    assert_eq!(waiting(&mut streams[0]), ["3"]);
    assert_eq!(["1", "2", "3"].map(|position| resumed(&hub, "ann/phone", position).1), [false, true, true]);

    publisher.lost(None);
    let gap = event(&mut streams[0]);
    let position = &gap.event.position;
    assert_eq!(gap.event.payload_bytes, format!(r#"{{"position":"{position}"}}"#).as_bytes());
    assert_eq!(*hub.position(), **position);
    assert_eq!(["3", position].map(|position| resumed(&hub, "ann/phone", position).1), [false, true]);
}

/// While events are published as fast as can be, devices come, take some, go and resume.
#[test]
fn no_hole_and_no_duplicate_while_events_are_published() {
    const EVENTS: u64 = 10_000;
    let limits =
        HubLimits { history_events_max: 1 << 20, queue_events_max: 1 << 20, queue_bytes_max: 1 << 30, ..limits() };
    let (hub, mut publisher) = hub(HubLimits { history_bytes_max: 1 << 30, ..limits });
    let (start, is_over) = (hub.position(), AtomicBool::new(false));
    thread::scope(|scope| {
        let devices: Vec<_> = (0..3)
            .map(|device| {
                let (hub, start, is_over, mut random) = (&hub, &start, &is_over, fastrand::Rng::with_seed(device));
                scope.spawn(move || {
                    let (mut position, mut seen, mut moves) = (start.to_string(), 0_u64, 0);
                    loop {
                        let was_over = is_over.load(SeqCst);
                        let (mut stream, is_resumed) = resumed(hub, "ann/phone", &position);
                        assert!(is_resumed);
                        let most = if was_over { u64::MAX } else { random.u64(0..300) };
                        for _ in 0..most {
                            let Some(delivery) = stream.try_next() else { break };
                            let Delivery::Event(encoded) = delivery else { panic!("{delivery:?}") };
                            assert_eq!(encoded.event.event_id, seen.to_string());
                            position.clone_from(&encoded.event.position);
                            seen += 1;
                        }
                        moves += 1;
                        if was_over {
                            return (seen, moves);
                        }
                    }
                })
            })
            .collect();
        for id in 0..EVENTS {
            publish(&mut publisher, "ann", &id.to_string());
        }
        is_over.store(true, SeqCst);
        for device in devices {
            let (seen, moves) = device.join().unwrap();
            assert!(seen == EVENTS && moves > 2, "{seen} events in {moves} moves");
        }
    });
}
