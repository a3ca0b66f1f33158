//! Where a backend's answer ends is never open to doubt: what two readers could end in two places is a broken answer,
//! of a forward and of a command alike (RFC 9112 section 6.3).

use crate::kit::{
    device::{backend, command, device, edge_yaml, refused, send, session_beside},
    gateway::Gateway,
    raw::Raw,
    scripted::saying,
};
use portcullis::client::{Codec, Protocol};
use std::net::SocketAddr;

const DOUBTFUL: [(&str, &str); 11] = [
    ("one length twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
    ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
    ("two lengths in one line", "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{} "),
    ("a length with a sign", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}"),
    ("a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}"),
    ("another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    ("chunks that are not last", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    (
        "chunks twice",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ),
    ("a coding of no name", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}"),
    ("no coding beside a length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"),
    ("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
];

const LENGTH_AND_CHUNKS: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";

fn forwarding(backend: SocketAddr) -> Gateway {
    Gateway::start(&format!(
        r#"
version: 1
listeners: {{ public: {{ bind: "127.0.0.1:0" }} }}
upstreams: {{ backend: {{ endpoints: ["http://{backend}"] }} }}
routes: [ {{ name: api, match: {{ path: "/*" }}, forward: backend }} ]
"#
    ))
}

#[test]
fn a_forward_passes_no_such_answer_on() {
    for (what, answer) in DOUBTFUL {
        let gateway = forwarding(saying(answer));
        let answer = Raw::connect(gateway.address("public")).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
        assert_eq!(answer.status, 502, "{what}: {answer:?}");
        assert_eq!(answer.json()["reason"], "BACKEND_UNAVAILABLE", "{what}");
    }
}

/// Pingora drops the length before anybody else can see it, so all that can be held is what RFC 9112 section 6.3
/// asks of whoever passes such an answer on: the chunks count, and the length is not passed on.
#[test]
fn of_a_length_beside_chunks_a_forward_passes_on_the_chunks() {
    let gateway = forwarding(saying(LENGTH_AND_CHUNKS));
    let mut raw = Raw::connect(gateway.address("public"));
    for _ in 0..2 {
        let answer = raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]), "{answer:?}");
        assert_eq!(answer.header("content-length"), None);
    }
}

#[test]
fn what_has_no_body_says_nothing_of_one() {
    for (answer, status) in [
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 204),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204),
        ("HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 103),
    ] {
        let gateway = forwarding(saying(answer));
        let mut raw = Raw::connect(gateway.address("public"));
        for _ in 0..2 {
            raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let head = String::from_utf8(raw.until(b"\r\n\r\n").unwrap()).unwrap().to_ascii_lowercase();
            assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
            assert!(!head.contains("transfer-encoding") && !head.contains("content-length"), "{head}");
            if status == 103 {
                assert_eq!(raw.answer().status, 204);
            }
        }
    }
}

#[tokio::test]
async fn a_command_signs_no_such_answer() {
    let stand_in = backend();
    for (what, answer) in DOUBTFUL.into_iter().chain([("a length beside chunks", LENGTH_AND_CHUNKS)]) {
        let backend = session_beside(answer).to_string();
        let gateway = Gateway::start(&edge_yaml(&stand_in).replace(&stand_in.address.to_string(), &backend));
        let request = device("session-1").sign(&command("user.account.get", ""));
        let refused = refused(send(&gateway, (Protocol::Connect, Codec::Proto), &request).await);
        assert_eq!(
            (refused.code.as_str(), refused.reason.as_deref()),
            ("unavailable", Some("BACKEND_UNAVAILABLE")),
            "{what}"
        );
    }
}
