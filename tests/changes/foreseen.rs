//! What a reload would do is said without doing it, and one that would end too much is not done.

use super::{CHANGED, GRPC, change, is_closed, on_route, reload_with, scene, socket, write};
use crate::kit::{
    events::{Scene, resumed},
    raw::Raw,
    soon,
};
use proto::edge::v1::SubscribeOptions;
use serde_json::{Value as Json, json};
use std::fs;

fn get(scene: &Scene, path: &str) -> (u16, Json) {
    let answer =
        Raw::connect(scene.gateway.address("admin")).send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer();
    (answer.status, answer.json())
}

/// What is said of a part, without the keys.
fn of<'a>(foreseen: &'a Json, part: &str) -> &'a Json {
    let changes = foreseen["changes"].as_array().unwrap();
    changes.iter().find(|change| change["part"] == part).unwrap_or_else(|| panic!("{part} is not in {foreseen}"))
}

fn streams(hanging: &Json) -> [u64; 4] {
    ["untouched", "kept", "drained", "cut"].map(|fate| hanging[fate].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_counts_what_hangs_on_each_part_and_changes_nothing() {
    let scene = scene("").await;
    let mut sockets = vec![socket(&scene, "session-1").await, socket(&scene, "session-2").await];
    let mut grpc = scene.open(GRPC, "session-3", SubscribeOptions::default()).await;
    assert!(resumed(&grpc.event().await));
    let (status, before) = get(&scene, "/reload");
    assert_eq!((status, &before["changes"], &before["next"]), (200, &json!([]), &before["revision"]));
    assert_eq!(streams(&before["streams"]), [3, 0, 0, 0]);
    let nothing = reload_with(&scene.gateway, &["--plan"]);
    assert_eq!(String::from_utf8_lossy(&nothing.stdout), "nothing differs; 3 streams: 3 not touched\n");
    assert!(nothing.status.success());

    let yaml = fs::read_to_string(scene.gateway.config()).unwrap();
    write(&scene.gateway, "path: /events/ws }", "path: /elsewhere }");
    write(&scene.gateway, "user.account.get:", "user.get:");
    for (policy, expected) in
        [("", [1, 0, 2, 0]), (", streams: cut", [1, 0, 0, 2]), (", streams: { drain: 3s }", [1, 0, 2, 0])]
    {
        write(&scene.gateway, "watch: false }", &format!("watch: false{policy} }}"));
        let (status, foreseen) = get(&scene, "/reload");
        assert_eq!((status, streams(&foreseen["streams"])), (200, expected), "{policy}");
        assert_eq!(streams(&of(&foreseen, "routes.ws")["hanging"]), [0, 0, expected[2], expected[3]], "{policy}");
        assert_eq!(streams(&of(&foreseen, "commands.game")["hanging"]), [1, 0, 0, 0], "{policy}");
        write(&scene.gateway, &format!("watch: false{policy} }}"), "watch: false }");
    }
    let said = reload_with(&scene.gateway, &["--plan"]);
    assert_eq!(
        String::from_utf8_lossy(&said.stdout),
        "~ commands.game  taken up at once\n    \
             routes.user.account.get  {\"get\":\"/api/v1/user/account\"} → nothing\n    \
             routes.user.get          nothing → {\"get\":\"/api/v1/user/account\"}\n    \
             1 stream: 1 not touched\n\
         ~ routes.ws      taken up at once\n    \
             match.path  /events/ws → /elsewhere\n    \
             2 streams: 2 drained\n\
         2 changed; 3 streams: 1 not touched, 2 drained; drained over 2.5s\n"
    );
    assert!(said.status.success());
    // A budget of the chain is under all of them, and they are kept.
    fs::write(scene.gateway.config(), yaml.replace("100000/10s", "100001/10s")).unwrap();
    let (_, foreseen) = get(&scene, "/reload");
    assert_eq!(streams(&of(&foreseen, "budgets.edge_session")["hanging"]), [0, 3, 0, 0]);
    assert_eq!(of(&foreseen, "routes.edge")["built_on"], json!(["budgets.edge_session"]));
    assert_eq!(of(&foreseen, "budgets.edge_session")["takes"], "begins_anew");

    assert_eq!(get(&scene, "/readyz").1["reload"], Json::Null);
    scene.push.event("user-1", "k", "{}", "p1");
    for socket in &mut sockets {
        assert_eq!(socket.event().await.position, "p1");
    }
    assert_eq!(grpc.event().await.position, "p1");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_counted_on_every_part_that_they_use() {
    let scene = scene("").await;
    write(&scene.gateway, "/api/v1/public/*", "/api/v2/public/*");
    write(&scene.gateway, "read: 1s", "read: 2s");
    let mut raw = Raw::connect(scene.gateway.address("public"));
    raw.send("POST /api/v1/public/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
    let foreseen = soon("the request", || {
        let (_, foreseen) = get(&scene, "/reload");
        (foreseen["streams"]["requests"] == 1).then_some(foreseen)
    })
    .await;
    for part in ["routes.public", "upstreams.backend"] {
        assert_eq!(of(&foreseen, part)["hanging"]["requests"], 1, "{part}");
    }
    assert_eq!(of(&foreseen, "routes.edge")["hanging"]["requests"], 0);
    assert_eq!(raw.send("a").answer().status, 200);
    soon("its end", || (get(&scene, "/reload").1["streams"]["requests"] == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_ends_too_many_streams_is_refused_unless_it_is_forced() {
    let scene = scene(", streams: cut, max_streams_cut: 1").await;
    let mut sockets = [socket(&scene, "session-1").await, socket(&scene, "session-2").await];
    write(&scene.gateway, "path: /events/ws }", "path: /elsewhere }");
    let plan = reload_with(&scene.gateway, &["--plan"]);
    assert_eq!(plan.status.code(), Some(2), "{plan:?}");
    let refused = reload_with(&scene.gateway, &[]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("~ routes.ws") && said.contains("2 streams: 2 cut"), "{said}");
    assert!(said.contains("it would end 2 streams, and `reload.max_streams_cut` is 1 (routes.ws 2)"), "{said}");
    scene.gateway.signal("HUP");
    scene.gateway.log_line("it would end 2 streams");
    let (_, ready) = get(&scene, "/readyz");
    assert_eq!((&ready["ready"], &ready["reload"]["outcome"]), (&json!(true), &json!("refused")));
    assert_eq!(streams(&of(&ready["reload"]["foreseen"], "routes.ws")["hanging"]), [0, 0, 0, 2]);
    scene.push.event("user-1", "k", "{}", "p1");
    for socket in &mut sockets {
        assert_eq!(socket.event().await.position, "p1");
    }
    let forced = reload_with(&scene.gateway, &["--force"]);
    assert!(forced.status.success(), "{forced:?}");
    for socket in &mut sockets {
        is_closed(socket, CHANGED).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_taken_up_by_whoever_asks_when_few_enough_are_left() {
    let scene = scene(", streams: cut, max_streams_cut: 1").await;
    let mut staying = socket(&scene, "session-1").await;
    let leaving = socket(&scene, "session-2").await;
    write(&scene.gateway, "path: /events/ws }", "path: /elsewhere }");
    assert_eq!(reload_with(&scene.gateway, &[]).status.code(), Some(2));
    drop(leaving);
    soon("its end", || (on_route(&scene, "ws") == 1).then_some(())).await;
    assert_eq!(get(&scene, "/readyz").1["reload"]["outcome"], "refused", "it is not tried again by itself");
    let asked = reload_with(&scene.gateway, &[]);
    assert!(asked.status.success(), "{asked:?}");
    is_closed(&mut staying, CHANGED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_less_is_few_enough() {
    let scene = scene(", streams: cut, max_streams_cut: 1").await;
    let mut socket = socket(&scene, "session-1").await;
    change(&scene.gateway, "path: /events/ws }", "path: /elsewhere }");
    is_closed(&mut socket, CHANGED).await;
    scene.streams(0);
    assert_eq!(on_route(&scene, "ws"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_reload_can_do_is_said() {
    let scene = scene("").await;
    write(&scene.gateway, "version: 1\n", "version: 1\nconnections: { max: 9 }\n");
    let said = reload_with(&scene.gateway, &["--plan"]);
    let text = String::from_utf8_lossy(&said.stdout);
    assert_eq!(said.status.code(), Some(2), "{text}");
    assert!(text.contains("~ connections  needs an upgrade: portcullis upgrade"), "{text}");
    assert!(text.contains("A reload is refused: a running process cannot take up connections."), "{text}");
    fs::write(scene.gateway.config(), "version: 1\n").unwrap();
    let said = reload_with(&scene.gateway, &["--plan"]);
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains("gateway.yaml:1:1"), "{said:?}");
    assert_eq!(get(&scene, "/reload").0, 422);
}
