//! One feed in, every device out, whatever breaks on the way: nothing is lost, nothing comes twice or out of order,
//! and it does not matter to which instance a device comes.

use crate::kit::{
    authority::Vouched,
    backend::Backend,
    device::{backend, device},
    events::{self, after, is_ready, resumed},
    gateway::{Gateway, portcullis},
    push::{PushBackend, arrival},
    soon,
};
use proto::edge::v1::{Event, gateway_client::GatewayClient};
use std::{fs, time::Duration};
use tonic::{Code, Streaming, transport::Endpoint};

/// With budgets for a device that comes again at once where the instance is behind.
fn yaml(backend: &Backend, feed: &str, options: &str) -> String {
    events::yaml(backend, feed, options).replace("2000/1s", "100000/1s").replace("\"1000/1m\"", "\"100000/1m\"")
}

/// An instance with this `gateway_client_id`, once it has its feed.
async fn instance(backend: &Backend, push: &PushBackend, id: &str, options: &str) -> Gateway {
    let feed = format!("{{ grpc: \"http://{}\", gateway_client_id: {id} }}", push.address);
    let gateway = Gateway::start(&yaml(backend, &feed, options));
    soon("the feed", || is_ready(&gateway).then_some(())).await;
    gateway
}

/// A stream that has begun, and whether it goes on where the device was.
async fn subscribe(gateway: &Gateway, session: &str, resume_after: &str) -> (Streaming<Event>, bool) {
    let request = device(session).sign_subscription(&after(resume_after)).unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.address("edge"))).unwrap();
    let mut client = GatewayClient::new(endpoint.connect().await.unwrap());
    let mut stream = arrival("an answer", client.subscribe_events(request)).await.unwrap().into_inner();
    let first = arrival("the first event", stream.message()).await.unwrap().unwrap();
    (stream, resumed(&first))
}

/// The next event that is no heartbeat.
async fn next(stream: &mut Streaming<Event>) -> Event {
    loop {
        let event = arrival("an event", stream.message()).await.unwrap().unwrap();
        if event.event_type != "gateway.heartbeat" {
            return event;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_goes_over_tls_to_whom_the_authority_vouches_for() {
    let (backend, vouched) = (backend(), Vouched::new("push.internal"));
    let push = PushBackend::start_tls(&vouched).await;
    let feed = |server_name: &str| {
        let tls = format!("{{ ca: {:?}, server_name: {server_name} }}", vouched.ca);
        format!("{{ grpc: \"https://{}\", tls: {tls} }}", push.address)
    };
    let gateway = Gateway::start(&yaml(&backend, &feed("push.internal"), ""));
    soon("the feed", || is_ready(&gateway).then_some(())).await;
    let (mut stream, _) = subscribe(&gateway, "session-1", "").await;
    push.event("user-1", "count", "1", "c1");
    assert_eq!(next(&mut stream).await.position, "c1");
    let stranger = Gateway::start(&yaml(&backend, &feed("other.internal"), ""));
    soon("that it is not trusted", || stranger.has_logged("TLS: invalid peer certificate").then_some(())).await;
    assert!(!is_ready(&stranger));
}

/// How often what breaks, in events of which a thousand come in a second.
struct Trouble {
    events: usize,
    between_cuts: usize,
    between_moves: usize,
}

/// Two devices: one moves between two instances, the other stays where it is. Both get every event, once, in order.
async fn outlive(trouble: Trouble) {
    let Trouble { events, between_cuts, between_moves } = trouble;
    let (backend, push) = (backend(), PushBackend::start().await);
    let instances = [instance(&backend, &push, "gw-1", "").await, instance(&backend, &push, "gw-2", "").await];
    let [mut moving, mut staying] =
        [subscribe(&instances[0], "session-1", "").await.0, subscribe(&instances[0], "session-2", "").await.0];
    let publishing = async {
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        for number in 1..=events {
            pace.tick().await;
            push.event("user-1", "count", "{}", &format!("c{number}"));
            if number % between_cuts == 0 {
                push.cut();
            }
        }
    };
    let receiving = async {
        let mut moves = 0;
        for number in 1..=events {
            if number > 1 && number % between_moves == 0 {
                moves += 1;
                let position = format!("c{}", number - 1);
                let gateway = &instances[moves % instances.len()];
                let mut is_resumed = false;
                // An instance whose feed is just broken is behind the other, which is a gap where it lasts for longer
                // than a device waits.
                while !is_resumed {
                    (moving, is_resumed) = subscribe(gateway, "session-1", &position).await;
                }
            }
            assert_eq!(next(&mut moving).await.position, format!("c{number}"), "after {moves} moves");
        }
    };
    let remaining = async {
        for number in 1..=events {
            assert_eq!(next(&mut staying).await.position, format!("c{number}"), "on the stream that stayed");
        }
    };
    tokio::join!(publishing, receiving, remaining);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_moves_between_instances_while_their_feeds_break() {
    outlive(Trouble { events: 1_200, between_cuts: 120, between_moves: 50 }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes"]
async fn five_hundred_breaks_and_fifty_moves_lose_nothing() {
    outlive(Trouble { events: 60_000, between_cuts: 120, between_moves: 1_200 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_sends_devices_elsewhere_with_nothing_lost() {
    let (backend, push) = (backend(), PushBackend::start().await);
    let [leaving, staying] = [instance(&backend, &push, "gw-1", "").await, instance(&backend, &push, "gw-2", "").await];
    devices_move(&push, &leaving, "TERM", &staying).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_sends_devices_to_the_new_process_with_nothing_lost() {
    let (backend, push) = (backend(), PushBackend::start().await);
    let gateway = instance(&backend, &push, "gw-1", "").await;
    devices_move(&push, &gateway, "USR2", &gateway).await;
    assert!(gateway.pids().len() == 2 && !gateway.has_logged("another instance seems to use"));
    let asked = push.asked();
    assert!(asked.iter().all(|asked| asked.gateway_client_id == "gw-1"));
    assert!(asked[1].cursor.starts_with('c'), "the new process goes on where the old one was: {asked:?}");
}

/// Events go on while a signal has an instance leave, and every device goes on where it was.
async fn devices_move(push: &PushBackend, leaving: &Gateway, signal: &str, staying: &Gateway) {
    const DEVICES: usize = 20;
    let mut streams = Vec::new();
    for index in 0..DEVICES {
        streams.push(subscribe(leaving, &format!("session-{index}"), "").await.0);
    }
    push.event("user-1", "count", "{}", "c0");
    let moved = streams.into_iter().enumerate().map(async |(index, mut stream)| {
        let mut last = String::new();
        let ended = loop {
            match arrival("the end", stream.message()).await {
                Ok(Some(event)) if event.event_type == "count" => last = event.position,
                Ok(Some(_)) => {}
                Ok(None) => panic!("a stop has a reason"),
                Err(status) => break status,
            }
        };
        assert_eq!(ended.code(), Code::Unavailable, "{ended:?}");
        let (mut stream, is_resumed) = subscribe(staying, &format!("session-{index}"), &last).await;
        assert!(is_resumed, "from {last}");
        let next_number = last.strip_prefix('c').unwrap().parse::<usize>().unwrap() + 1;
        for number in next_number..=200 {
            assert_eq!(next(&mut stream).await.position, format!("c{number}"));
        }
    });
    let publishing = async {
        leaving.signal(signal);
        for number in 1..=200 {
            push.event("user-1", "count", "{}", &format!("c{number}"));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::join!(futures_util::future::join_all(moved), publishing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_told_the_latest_value_and_not_each_on_the_way() {
    let (backend, push) = (backend(), PushBackend::start().await);
    let kinds = ", kinds: { seat: { coalesce: payload.id, min_interval: 1s } }";
    let gateway = instance(&backend, &push, "gw-1", kinds).await;
    let (mut stream, _) = subscribe(&gateway, "session-1", "").await;
    for number in 0..100 {
        push.event("user-1", "seat", r#"{"id":1}"#, &format!("a{number}"));
        push.event("user-1", "seat", r#"{"id":2}"#, &format!("b{number}"));
    }
    let mut got = Vec::new();
    while got.last().is_none_or(|last| last != "b99") {
        got.push(next(&mut stream).await.position);
    }
    assert!(got.len() < 100 && got[got.len() - 2] == "a99", "{got:?}");
    push.event("user-1", "seat", r#"{"id":1}"#, "held");
    push.event("user-1", "count", "{}", "c1");
    assert_eq!([next(&mut stream).await.position, next(&mut stream).await.position], ["held", "c1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_live_on_over_a_reload_where_their_source_is_the_same() {
    let (backend, push) = (backend(), PushBackend::start().await);
    let gateway = instance(&backend, &push, "gw-1", ", heartbeat: 15s").await;
    let reload = |from: &str, to: &str| {
        let yaml = fs::read_to_string(gateway.config()).unwrap();
        assert!(yaml.contains(from));
        fs::write(gateway.config(), yaml.replace(from, to)).unwrap();
        let admin = format!("http://{}", gateway.address("admin"));
        assert!(portcullis().args(["reload", "--admin", &admin]).status().unwrap().success());
    };
    let (mut stream, _) = subscribe(&gateway, "session-1", "").await;
    reload("name: public", "name: other");
    push.event("user-1", "count", "{}", "c1");
    assert_eq!(next(&mut stream).await.position, "c1");
    reload("heartbeat: 15s", "heartbeat: 14s");
    let ended = arrival("the end", stream.message()).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable, "its device comes back to another source");
    soon("the other feed", || is_ready(&gateway).then_some(())).await;
    let (mut stream, _) = subscribe(&gateway, "session-1", "").await;
    push.event("user-1", "count", "{}", "c2");
    assert_eq!(next(&mut stream).await.position, "c2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_ahead_of_an_instance_is_waited_for() {
    let (backend, push) = (backend(), PushBackend::start().await);
    let gateway = instance(&backend, &push, "gw-1", "").await;
    push.event("user-1", "count", "{}", "c0");
    // It waits for a second: on a busy machine that may not be enough for once.
    for round in 0..20 {
        let cursor = |number: usize| format!("r{round}-{number}");
        // From an instance that has brought it more.
        let position = cursor(2);
        let coming = subscribe(&gateway, "session-1", &position);
        let pushing = async {
            // Once the session was asked for nothing but the position is left to look at.
            let lookups = || backend.seen_at("/api/v1/internal/sessions/session-1").len();
            soon("the lookup", || (lookups() > round).then_some(())).await;
            for number in 1..=3 {
                push.event("user-1", "count", "{}", &cursor(number));
            }
        };
        let ((mut stream, is_resumed), ()) = tokio::join!(coming, pushing);
        if is_resumed {
            assert_eq!(next(&mut stream).await.position, cursor(3), "what it has seen does not come again");
            return;
        }
        push.cut();
    }
    panic!("nobody waited");
}
