//! The guard before Pingora's own proxy, which forwards to a second door.

use super::*;
use pingora_core::{server::configuration::ServerConf, upstreams::peer::HttpPeer};
use pingora_proxy::{ProxyHttp, Session, http_proxy};

struct Forward(SocketAddr);

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, session: &mut Session, (): &mut ()) -> pingora_core::Result<Box<HttpPeer>> {
        let stream = session.as_downstream().stream().unwrap();
        assert!(stream.as_any().downcast_ref::<GuardedStream>().is_some());
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

#[tokio::test]
async fn the_proxy_forwards_pipelined_requests_with_and_without_bodies() {
    let backend = usual();
    let proxy = http_proxy(&Arc::new(ServerConf::default()), Forward(backend.address));
    let door = open_before(proxy, Arc::default(), listener_rules(), connection_rules(), Caps::new(9, 9));
    let mut client = door.connect().await;
    client
        .write_all(
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
              POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
              POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n\
              GET /4 HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await
        .unwrap();
    for answer in ["GET /1 0", "POST /2 5", "POST /3 5", "GET /4 0"] {
        assert_eq!(one_answer(&mut client).await, answer);
    }
    assert_eq!(backend.requests(), ["GET /1 0", "POST /2 5", "POST /3 5", "GET /4 0"]);
}

#[tokio::test]
async fn a_chunked_body_with_broken_framing_brings_no_second_request_to_the_backend() {
    let backend = usual();
    let proxy = http_proxy(&Arc::new(ServerConf::default()), Forward(backend.address));
    let door = open_before(proxy, Arc::default(), listener_rules(), connection_rules(), Caps::new(9, 9));
    let request = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                    1;\nb\r\nx\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let text = door.send(request).await;
    assert!(!text.contains("200 OK"), "{text}");
    assert_eq!(backend.requests(), [""; 0]);
}
