use super::*;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_however_their_bodies_are_framed() {
    let door = usual();
    let mut client = door.connect().await;
    client
        .write_all(
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
              POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
              POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x\r\n!\r\n0\r\nT: 1\r\n\r\n\
              GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    let text = rest(&mut client).await;
    let answers: Vec<_> = text.match_indices("HTTP/1.1 200 OK").collect();
    assert_eq!(answers.len(), 4, "{text}");
    assert_eq!(door.requests(), ["GET /1 0", "POST /2 5", "POST /3 6", "GET /4 0"]);
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_served_and_the_connection_used_again() {
    let door = usual();
    let mut client = door.connect().await;
    client.set_nodelay(true).unwrap();
    for _ in 0..2 {
        for byte in b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" {
            client.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(one_answer(&mut client).await, "POST /a 3");
    }
    assert_eq!(door.caps.open(), 1);
}

#[tokio::test]
async fn a_request_shorter_than_an_http2_preface_is_not_waited_on() {
    let door = usual();
    let text = door.send(b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(text.ends_with("\r\n\r\nGET / 0"), "{text}");
    // It begins like the preface.
    let text = door.send(b"PUT / HTTP/1.0\r\n\r\n").await;
    assert!(text.ends_with("\r\n\r\nPUT / 0"), "{text}");
}

#[tokio::test]
async fn what_is_refused_gets_a_problem_document_and_never_reaches_the_application() {
    let door = usual();
    for (bytes, status) in [
        (&b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..], 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417),
        (&[&b"GET / HTTP/1.1\r\nX: "[..], &[b'x'; 600]].concat(), 431),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    ] {
        let text = door.send(bytes).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        for line in ["Content-Type: application/problem+json", "Connection: close", "X-Request-Id: made-here"] {
            assert!(head.contains(line), "{text}");
        }
        assert_eq!(head.contains("Allow: GET"), status == 405, "{text}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((problem["status"].as_u64(), problem["request_id"].as_str()), (Some(status), Some("made-here")));
        assert_eq!(door.ledger.0.lock().unwrap().pop().unwrap(), (u16::try_from(status).unwrap(), "127.0.0.1".into()));
    }
    assert_eq!(door.requests(), [""; 0]);
}

#[tokio::test]
async fn a_second_request_passes_the_guard_like_the_first() {
    let door = usual();
    let mut client = door.connect().await;
    client.write_all(&[GET, b"GET /b HTTP/1.1\nHost: a\r\n\r\n"].concat()).await.unwrap();
    assert_eq!(one_answer(&mut client).await, "GET /a 0");
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 400 "));
    assert_eq!(door.requests(), ["GET /a 0"]);
}

#[tokio::test]
async fn the_head_deadline_is_total_on_the_first_and_on_a_reused_request() {
    let rules = ConnectionRules { head_deadline: Duration::from_secs(1), ..connection_rules() };
    let door = open(listener_rules(), rules, Caps::new(9, 9));
    for before in [&b""[..], GET] {
        let mut client = door.connect().await;
        client.set_nodelay(true).unwrap();
        client.write_all(before).await.unwrap();
        if !before.is_empty() {
            one_answer(&mut client).await;
        }
        // A byte every now and then restarts no clock.
        let (mut reader, mut writer) = client.into_split();
        let drip = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            writer.write_all(b"PO").await.unwrap();
            while writer.write_all(b"x").await.is_ok() {
                ticks.tick().await;
            }
        });
        let text = rest(&mut reader).await;
        assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("REQUEST_TIMEOUT"), "{text}");
        drip.abort();
    }
    // Whoever sent nothing is told nothing.
    assert_eq!(door.send(b"").await, "");
}

#[tokio::test]
async fn an_idle_connection_ends_after_the_keepalive_time_and_at_once_on_shutdown() {
    let rules = ConnectionRules { keepalive: Duration::from_millis(100), ..connection_rules() };
    let door = open(listener_rules(), rules, Caps::new(9, 9));
    assert!(door.send(GET).await.ends_with("GET /a 0"));

    let door = usual();
    let mut used = door.connect().await;
    used.write_all(GET).await.unwrap();
    one_answer(&mut used).await;
    let mut fresh = door.connect().await;
    door.until(|door| door.caps.open() == 2).await;
    door.stop.send(true).unwrap();
    assert_eq!((rest(&mut used).await, rest(&mut fresh).await), (String::new(), String::new()));
    door.until(|door| door.caps.open() == 0).await;
}

#[tokio::test]
async fn what_has_begun_at_shutdown_is_finished_and_the_connection_closed() {
    let door = usual();
    let mut client = door.connect().await;
    client.write_all(&GET[..9]).await.unwrap();
    let mut idle = door.connect().await;
    door.until(|door| door.caps.open() == 2).await;
    door.stop.send(true).unwrap();
    assert_eq!(rest(&mut idle).await, "");
    client.write_all(&GET[9..]).await.unwrap();
    let text = rest(&mut client).await;
    assert!(text.contains("Connection: close") && text.ends_with("GET /a 0"), "{text}");
}

#[tokio::test]
async fn a_chunked_body_with_broken_framing_fails_and_hides_no_request() {
    for body in
        ["5\nhello\r\n0\r\n\r\n", "1;a\nb\r\nx\r\n0\r\n\r\n", "FFFFFFFFFFFFFFFF\r\n", "1\r\nxGET /b HTTP/1.1\r\n"]
    {
        let door = usual();
        let head = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(door.send(format!("{head}{body}{smuggled}").as_bytes()).await, "", "{body:?}");
        assert_eq!((door.requests().len(), door.seen.broken_bodies.load(SeqCst)), (0, 1), "{body:?}");
    }
}

#[tokio::test]
async fn an_answer_ahead_of_a_large_body_arrives() {
    let door = usual();
    let mut client = door.connect().await;
    client.write_all(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
    client.write_all(&[b'x'; 60_000]).await.unwrap();
    let text = rest(&mut client).await;
    assert!(text.contains("Connection: close") && text.ends_with("POST /early 0"), "{text}");
    assert_eq!(door.requests(), ["POST /early 0"]);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let door = usual();
    let mut client = door.connect().await;
    client.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    door.until(|door| door.requests().len() == 1).await;
    drop(client);
    door.until(|door| door.seen.clients_gone.load(SeqCst) == 1 && door.caps.open() == 0).await;
}

#[tokio::test]
async fn an_upgrade_that_is_not_made_leaves_the_connection_usable() {
    let door = usual();
    let mut client = door.connect().await;
    for _ in 0..2 {
        let request = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n";
        client.write_all(request).await.unwrap();
        assert_eq!(one_answer(&mut client).await, "GET /a 0");
    }
}
