//! The stream is held: opened again from the last cursor, never too eagerly, and nobody is left in the dark.

use super::*;
use tokio::net::TcpListener;

#[tokio::test(start_paused = true)]
async fn it_goes_on_from_the_last_cursor_and_drops_what_comes_again() {
    let mut stage = Stage::new();
    let push = stage.asked("").await.open();
    stage.link(true).await;
    let mut subscriber = stage.subscriber("ann/phone");
    for id in ["1", "2"] {
        push.send(event(id)).await.unwrap();
    }
    assert_eq!([next(&mut subscriber).await, next(&mut subscriber).await], ["1", "2"]);
    drop(push);
    let push = stage.asked("2").await.open();
    for id in ["1", "2", "3", "3", "4"] {
        push.send(event(id)).await.unwrap();
    }
    assert_eq!([next(&mut subscriber).await, next(&mut subscriber).await], ["3", "4"]);
    stage.backend.break_all();
    let push = stage.asked("4").await.open();
    push.send(event("5")).await.unwrap();
    assert_eq!(next(&mut subscriber).await, "5");
    let counts = stage.status.counts();
    assert_eq!((counts.opened, counts.ended, counts.events, counts.duplicates), (3, 2, 5, 3));
    assert!(subscriber.try_next().is_none(), "no gap was told of");
}

/// Breaks at random places, while the backend repeats what it is asked for.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_doubled_or_turned_around_over_many_breaks() {
    const EVENTS: u64 = 20_000;
    let mut stage = Stage::new();
    let mut random = fastrand::Rng::with_seed(1);
    let first = stage.asked("").await.open();
    stage.link(true).await;
    let mut subscriber = stage.subscriber("ann/phone");
    first.send(event("0")).await.unwrap();
    assert_eq!(next(&mut subscriber).await, "0");
    drop(first);
    let mut breaks = 0;
    let mut seen = 0;
    while seen < EVENTS {
        let asked = timeout(SECOND * 60, stage.asked.recv()).await.unwrap().unwrap();
        let from: u64 = asked.request.cursor.parse().unwrap();
        let push = asked.open();
        // Some of what was seen already, too.
        for id in from.saturating_sub(random.u64(0..3))..=(from + random.u64(1..80)).min(EVENTS) {
            push.send(event(&id.to_string())).await.unwrap();
        }
        let until = if random.bool() { from + 1 } else { seen };
        while seen < until {
            seen += 1;
            assert_eq!(next(&mut subscriber).await, seen.to_string());
        }
        if random.bool() {
            stage.backend.break_all();
        }
        drop(push);
        while let Some(Delivery::Event(encoded)) = subscriber.try_next() {
            seen += 1;
            assert_eq!(encoded.event.event_id, seen.to_string());
        }
        breaks += 1;
    }
    assert!(breaks >= 500, "only {breaks} breaks");
}

#[tokio::test(start_paused = true)]
async fn without_a_cursor_everybody_is_told_of_a_gap() {
    let mut stage = Stage::new();
    let mut early = stage.subscriber("ann/phone");
    let push = stage.asked("").await.open();
    assert_eq!(next(&mut early).await, "gateway.gap", "what came before the feed was lost");
    drop(push);
    let push = stage.asked("").await.open();
    assert_eq!(next(&mut early).await, "gateway.gap");
    push.send(event("1")).await.unwrap();
    assert_eq!(next(&mut early).await, "1");
    drop(push);
    stage.asked("1").await.open().send(event("2")).await.unwrap();
    assert_eq!(next(&mut early).await, "2");
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_it_and_says_why() {
    let mut stage = Stage::new();
    let why = |link: Link| match link {
        Link::Down { why, .. } => why.to_string(),
        Link::Up { .. } => panic!("it is up"),
    };
    assert_eq!(why(stage.status.link()), "it was not connected to yet");
    let push = stage.asked("").await.open();
    stage.link(true).await;
    stage.backend.refuse(1);
    push.send(Err(Status::unavailable("in\nmaintenance"))).await.unwrap();
    assert_eq!(why(stage.link(false).await), "Unavailable: inmaintenance");
    let mut watch = stage.status.watch();
    watch.mark_unchanged();
    watch.changed().await.unwrap();
    assert_eq!(why(stage.status.link()), "it cannot be connected to: connection refused");
    stage.asked("").await.refuse(Status::permission_denied("who are you?"));
    watch.changed().await.unwrap();
    assert_eq!(why(stage.status.link()), "PermissionDenied: who are you?");
    let push = stage.asked("").await.open();
    stage.link(true).await;
    drop(push);
    assert_eq!(why(stage.link(false).await), "the backend has ended the stream");
}

/// As servers do that send their headers with the first message.
#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_answer_before_its_first_event_is_there_all_the_same() {
    let mut stage = Stage::new();
    let waiting = stage.asked("").await;
    let asked = Instant::now();
    stage.link(true).await;
    assert!(asked.elapsed() <= SETTLED * 2);
    let mut subscriber = stage.subscriber("ann/phone");
    let push = waiting.open();
    push.send(event("1")).await.unwrap();
    assert_eq!(next(&mut subscriber).await, "1", "and nobody is told of a gap");
    assert_eq!(stage.status.counts().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_away_is_called_ever_more_seldom() {
    let mut stage = Stage::new();
    stage.backend.refuse(30);
    stage.asked("").await;
    let dials = stage.backend.dials();
    let waits: Vec<_> = dials.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (step, wait) in waits.iter().enumerate() {
        let ceiling = (Duration::from_millis(100) * 2_u32.pow(step.min(10) as u32)).min(SECOND * 10);
        // Timers have a resolution of 1 ms.
        assert!(*wait <= ceiling + Duration::from_millis(2), "{step}: {wait:?}");
    }
    assert_eq!(waits.len(), 30);
    assert!(waits.iter().any(|wait| *wait > SECOND * 5));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_falls_silent_is_noticed() {
    let mut stage = Stage::new();
    stage.asked("").await.open().send(event("1")).await.unwrap();
    stage.link(true).await;
    // The connection stays open, but nobody answers a ping any more.
    stage.backend.freeze();
    let since = Instant::now();
    stage.link(false).await;
    assert!(since.elapsed() <= SECOND * 331, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_second_instance_of_the_same_id_is_named() {
    let mut stage = Stage::new();
    for round in 1..=4 {
        stage.asked("").await.refuse(Status::already_exists("gw-1 is connected"));
        timeout(SECOND * 60, async {
            while stage.status.counts().ended < round {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        assert_eq!(stage.status.has_rival(), round >= 3);
    }
    let push = stage.asked("").await.open();
    push.send(event("1")).await.unwrap();
    tokio::time::sleep(SECOND * 61).await;
    drop(push);
    stage.asked("1").await;
    assert!(!stage.status.has_rival(), "nobody else is there any more");
}

#[tokio::test]
async fn it_speaks_over_tcp_to_a_name() {
    let (backend, mut asked) = Backend::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            backend.serve(stream);
        }
    });
    let (publisher, invalidations) = (hub().1, Arc::new(Invalidations::new(Arc::new(SystemClock::new()))));
    let hub = Arc::clone(publisher.hub());
    let feed = Feed::new(options(&format!("localhost:{port}")), publisher, &invalidations);
    let (mut link, running) = (feed.status().watch(), tokio::spawn(feed.run()));
    let push = asked.recv().await.unwrap().open();
    link.wait_for(Link::is_up).await.unwrap();
    push.send(event("1")).await.unwrap();
    drop(push);
    assert_eq!(asked.recv().await.unwrap().request.cursor, "1");
    assert_eq!(&*hub.position(), "1");
    running.abort();
    accepting.abort();
}
