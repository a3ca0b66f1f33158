use super::*;
use bytes::Bytes;
use h2::client::SendRequest;

const PREFACE_AND_SETTINGS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn client(door: &Door) -> (SendRequest<Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let (sender, connection) = h2::client::handshake(door.connect().await).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn get(sender: &mut SendRequest<Bytes>, path: &str) -> http::Response<h2::RecvStream> {
    let request = http::Request::get(format!("http://a{path}")).body(()).unwrap();
    let (answer, _) = sender.send_request(request, true).unwrap();
    timeout(HANG, answer).await.unwrap().unwrap()
}

#[tokio::test]
async fn http2_with_prior_knowledge_and_http1_share_a_port() {
    let door = usual();
    let (mut sender, _connection) = client(&door).await;
    let (first, mut second) = (get(&mut sender, "/1").await, sender.clone());
    assert_eq!(first.status(), 200);
    assert_eq!(get(&mut second, "/2").await.status(), 200);
    assert!(door.send(b"GET /3 HTTP/1.0\r\n\r\n").await.ends_with("GET /3 0"));
    assert_eq!(door.requests(), ["GET /1 0", "GET /2 0", "GET /3 0"]);
}

#[tokio::test]
async fn an_idle_connection_is_said_goodbye_to() {
    let rules = ConnectionRules { keepalive: Duration::from_millis(100), ..connection_rules() };
    let door = open(listener_rules(), rules, Caps::new(9, 9));
    let (mut sender, connection) = client(&door).await;
    assert_eq!(get(&mut sender, "/a").await.status(), 200);
    timeout(HANG, connection).await.unwrap().unwrap().unwrap();
    door.until(|door| door.caps.open() == 0).await;
}

#[tokio::test]
async fn shutdown_lets_a_stream_finish_and_ends_the_connection() {
    let door = usual();
    let (mut sender, connection) = client(&door).await;
    assert_eq!(get(&mut sender, "/a").await.status(), 200);
    door.stop.send(true).unwrap();
    timeout(HANG, connection).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn half_a_preface_and_half_a_frame_hold_a_connection_no_longer_than_they_may() {
    let rules = ConnectionRules {
        head_deadline: Duration::from_millis(300),
        keepalive: Duration::from_millis(300),
        ..connection_rules()
    };
    // Of a HEADERS frame of 64 bytes, the beginning.
    let half_frame = [PREFACE_AND_SETTINGS, b"\0\0\x40\x01\x04\0\0\0\x01\x82"].concat();
    let starts = [&PREFACE_AND_SETTINGS[..20], &PREFACE_AND_SETTINGS[..24], PREFACE_AND_SETTINGS, &half_frame];
    let ends = starts.map(|bytes| {
        let door = open(listener_rules(), rules.clone(), Caps::new(9, 9));
        async move {
            let mut client = door.connect().await;
            client.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            // It is closed, or reset; but it ends.
            let _ = timeout(HANG, client.read_to_end(&mut answer)).await.unwrap();
            door.until(|door| door.caps.open() == 0).await;
            assert_eq!(door.requests().len(), 0);
        }
    });
    futures_util::future::join_all(ends).await;
}

#[tokio::test]
async fn a_listener_speaks_what_it_was_told_and_nothing_else() {
    let door = open(ListenerRules { http1: false, ..listener_rules() }, connection_rules(), Caps::new(9, 9));
    for no_preface in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"\x16\x03\x01"]
    {
        // RFC 9113 section 3.4: SETTINGS first, then the connection's end with PROTOCOL_ERROR.
        let answer = door.send(no_preface).await;
        let goodbye = answer.strip_prefix("\0\0\0\x04\0\0\0\0\0\0\0\x22\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01");
        assert_eq!(goodbye, Some("only HTTP/2 is spoken here"), "{}", no_preface.escape_ascii());
    }
    assert_eq!(door.ledger.0.lock().unwrap().len(), 3);
    let (mut sender, _connection) = client(&door).await;
    assert_eq!(get(&mut sender, "/a").await.status(), 200);

    let door = open(ListenerRules { http2: false, ..listener_rules() }, connection_rules(), Caps::new(9, 9));
    assert!(door.send(PREFACE_AND_SETTINGS).await.starts_with("HTTP/1.1 505 "));
    assert_eq!(door.requests(), [""; 0]);
}
