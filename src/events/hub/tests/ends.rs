//! How streams end, each for itself, and what keeps the others going.

use super::*;
use std::net::Ipv6Addr;
use tokio::time::timeout;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_full_queue_ends_that_stream_alone() {
    for (limits, most) in [
        (HubLimits { queue_events_max: 3, ..limits() }, 3),
        // An event of these has some 190 bytes, and takes 640 more.
        (HubLimits { queue_bytes_max: 1_700, ..limits() }, 2),
    ] {
        let (hub, mut publisher) = hub(limits);
        let (mut slow, mut quick) = (open(&hub, "ann/phone"), open(&hub, "ann/tablet"));
        let ids: Vec<String> = (0..10).map(|n| format!("{n}")).collect();
        for (published, id) in ids.iter().enumerate() {
            publish(&mut publisher, "ann", id);
            assert_eq!(waiting(&mut quick), [id.as_str()]);
            let queued = hub.counts().queued;
            assert_eq!(queued, (published + 1 + most.min(published + 1)) as u64);
        }
        assert_eq!(ended(&mut slow), Some(EndReason::ConsumerTooSlow), "what waited is gone at once");
        assert_eq!(ended(&mut slow), Some(EndReason::ConsumerTooSlow));
        assert_eq!(hub.counts().too_slow, 1);
        drop(slow);
        let (mut again, is_resumed) = resumed(&hub, "ann/phone", "4");
        assert_eq!((waiting(&mut again), is_resumed), (ids[5..].to_vec(), true));
    }
}

#[test]
fn the_empty_queue_takes_any_event() {
    let (hub, mut publisher) = hub(HubLimits { queue_bytes_max: 10, ..limits() });
    let mut stream = open(&hub, "ann/phone");
    for id in ["1", "2"] {
        publish(&mut publisher, "ann", id);
        assert_eq!(waiting(&mut stream), [id]);
    }
}

struct Told(mpsc::Sender<(usize, Duration)>);

impl Observer for Told {
    fn revoked(&self, streams: usize, took: Duration) {
        self.0.send((streams, took)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_ends_those_that_it_names_and_says_how_long_it_took() {
    const DEVICES: [&str; 4] = ["ann/phone", "ann/tablet", "bob/phone", "phone/ann"];
    for (user_id, session_id, expected) in [
        ("ann", "", [true, true, false, false]),
        ("", "ann/tablet", [false, true, false, false]),
        // Of the two ids the narrower one counts.
        ("ann", "ann/phone", [true, false, false, false]),
        ("eve", "", [false; 4]),
    ] {
        let (tell, told) = mpsc::channel();
        let (hub, mut publisher) = observed(limits(), Arc::new(Told(tell)));
        let mut streams = DEVICES.map(|device| open(&hub, device)).map(Some);
        publish(&mut publisher, "", "1");
        let (user_id, device_session_id) = (user_id.to_owned(), session_id.to_owned());
        let invalidation = SessionInvalidation { user_id, device_session_id, reason: String::new() };
        let count = expected.iter().filter(|is_ended| **is_ended).count();
        assert_eq!(publisher.invalidate(&invalidation, "2"), Ok(count));
        publish(&mut publisher, "", "3");
        for (stream, is_ended) in streams.iter_mut().zip(expected) {
            let open = stream.as_mut().unwrap();
            if is_ended {
                assert_eq!(ended(open), Some(EndReason::SessionRevoked), "at once, ahead of what waits");
                assert!(told.try_recv().is_err(), "not before the last is gone");
                tokio::time::advance(SECOND).await;
                *stream = None;
            } else {
                assert_eq!(waiting(open), ["1", "3"]);
            }
        }
        let expected = (count > 0).then(|| (count, SECOND * u32::try_from(count).unwrap()));
        assert_eq!(told.try_recv().ok(), expected);
        assert_eq!(hub.counts().revoked, count as u64);
    }
}

#[test]
fn there_are_no_more_streams_than_the_caps_allow() {
    let caps = StreamCaps { max: 6, per_session: 1, per_user: 2, per_ip: 4 };
    let (hub, _publisher) = hub(HubLimits { streams: caps, ..limits() });
    let v6 = |text: &str| -> std::net::IpAddr { text.parse::<Ipv6Addr>().unwrap().into() };
    let [here, there, elsewhere] = [v6("2001:db8::1"), v6("2001:db8::2"), v6("2001:db8:1::1")];
    let mut open = Vec::new();
    for (device, client_ip, expected) in [
        ("ann/1", here, None),
        ("ann/1", elsewhere, Some(Full::Session)),
        ("ann/2", there, None),
        ("ann/3", elsewhere, Some(Full::User)),
        ("bob/1", here, None),
        ("bob/2", there, None),
        ("eve/1", here, Some(Full::Address)),
        ("eve/1", elsewhere, None),
        ("eve/2", elsewhere, None),
        ("zoe/1", elsewhere, Some(Full::All)),
    ] {
        let found = hub.subscribe(Subscription { client_ip, ..asked(device, "") });
        let refusal = found.as_ref().err().copied();
        assert_eq!(refusal, expected.map(SubscribeRefusal::Full), "{device}");
        open.extend(found.ok());
    }
    assert_eq!(hub.counts().streams, 6);
    open.remove(0);
    assert!(hub.subscribe(Subscription { client_ip: here, ..asked("ann/1", "") }).is_ok(), "its place is free again");
    drop(open);
    let state = hub.state();
    assert_eq!(state.registry.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_spread_over_its_window() {
    let (hub, mut publisher) = hub(limits());
    let names: Vec<String> = (0..100).map(|n| format!("user-{n}/phone")).collect();
    let mut streams: Vec<_> = names.iter().map(|name| open(&hub, name)).collect();
    publish(&mut publisher, "", "1");
    let closing = tokio::spawn({
        let hub = Arc::clone(&hub);
        async move { hub.shut_down(SECOND * 10).await }
    });
    let begun = Instant::now();
    let mut ends = Vec::new();
    for stream in &mut streams {
        assert_eq!(waiting(stream), ["1"], "what waits is still delivered");
    }
    tokio::task::yield_now().await;
    let refused = hub.subscribe(asked("ann/phone", "")).err();
    while ends.len() < streams.len() {
        for stream in &mut streams[ends.len()..] {
            if let Ok(Delivery::End(reason)) = timeout(SECOND, stream.next()).await {
                assert_eq!(reason, EndReason::ShuttingDown);
                ends.push(begun.elapsed());
            }
        }
    }
    closing.await.unwrap();
    assert!(begun.elapsed() <= SECOND * 10, "{:?}", begun.elapsed());
    for (second, end) in ends.iter().step_by(10).zip(0..).map(|(end, second)| (second, end.as_secs_f64())) {
        assert!((end - f64::from(second)).abs() < 0.2, "the end of the {second}th tenth came after {end} s");
    }
    assert_eq!(refused, Some(SubscribeRefusal::ShuttingDown));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_without_a_window_is_at_once() {
    let (hub, _publisher) = hub(limits());
    let mut streams = ["ann/phone", "bob/phone"].map(|device| open(&hub, device));
    let begun = Instant::now();
    hub.shut_down(Duration::ZERO).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(streams.iter_mut().all(|stream| ended(stream) == Some(EndReason::ShuttingDown)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_carries_heartbeats() {
    let (hub, mut publisher) = hub(limits());
    let timer = tokio::spawn(Arc::clone(&hub).keep_time());
    let mut stream = open(&hub, "ann/phone");
    let next = async |stream: &mut Subscriber| {
        let begun = Instant::now();
        let delivery = stream.next().await;
        (matches!(delivery, Delivery::Heartbeat), begun.elapsed())
    };
    for _ in 0..3 {
        let (is_heartbeat, after) = next(&mut stream).await;
        assert!(is_heartbeat && (SECOND * 15..SECOND * 17).contains(&after), "{after:?}");
    }
    tokio::time::sleep(SECOND * 10).await;
    publish(&mut publisher, "ann", "1");
    assert!(!next(&mut stream).await.0);
    let (is_heartbeat, after) = next(&mut stream).await;
    assert!(is_heartbeat && (SECOND * 15..SECOND * 17).contains(&after), "counted from the event: {after:?}");
    timer.abort();
    let heartbeat = Encoded::heartbeat();
    assert_eq!(heartbeat.event, Event { event_type: "gateway.heartbeat".to_owned(), ..Event::default() });
}
