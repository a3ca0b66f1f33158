//! A command's trace goes on at the backend, where its caller names exactly one; otherwise a new one begins there.

use crate::kit::{
    device::{backend, command, device, edge_yaml},
    gateway::Gateway,
    raw::Raw,
};

const ONE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OTHER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn two_traces_are_none() {
    let backend = backend();
    let gateway = Gateway::start(&edge_yaml(&backend));
    for (given, is_continued) in [(&[ONE][..], true), (&[], false), (&[ONE, ONE], false), (&[ONE, OTHER], false)] {
        let request = device("session-1").sign(&command("user.account.get", ""));
        let body = serde_json::to_string(&request).unwrap();
        let given: String = given.iter().map(|value| format!("traceparent: {value}\r\n")).collect();
        let head = format!(
            "POST /edge.v1.Gateway/ExecuteCommand HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{given}Content-Length: {}\r\n\r\n",
            body.len()
        );
        assert_eq!(Raw::connect(gateway.address("edge")).send(head).send(body).answer().status, 200);
        let seen = backend.seen_at("/api/v1/user/account").pop().unwrap();
        let sent: Vec<_> = seen.headers.get_all("traceparent").iter().collect();
        assert_eq!(sent.len(), 1, "{given}");
        assert_eq!(sent[0] == ONE, is_continued, "{given}");
        assert_ne!(sent[0], OTHER, "{given}");
    }
}
