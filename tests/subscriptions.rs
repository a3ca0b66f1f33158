//! A device that subscribes gets what is pushed for it, signed, in order and once, in every protocol; it resumes where
//! it was; and its stream ends at once when its session does.

use crate::kit::{
    device::{DIALECTS, edge},
    events::{Scene, after, decode, encode, resumed, scene, subscription},
    eventually,
    push::arrival,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{client::legacy, rt::TokioExecutor};
use portcullis::client::{Codec, Dialect, Protocol};
use proto::edge::v1::{Event, SubscribeOptions};

/// An open stream, read event by event.
pub(crate) struct Opened {
    body: Incoming,
    ahead: Vec<u8>,
    dialect: (Protocol, Codec),
}

/// What comes on a stream.
#[derive(Debug)]
enum Came {
    Event(Box<Event>),
    Heartbeat,
    /// The end, as the protocol writes it.
    End(String),
}

impl Scene {
    pub(crate) async fn open(&self, dialect: (Protocol, Codec), session: &str, options: SubscribeOptions) -> Opened {
        let (protocol, codec) = dialect;
        let message = encode(&subscription(session, &options), codec);
        let framed = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat();
        let body = if protocol == Protocol::GrpcWebText { STANDARD.encode(framed).into_bytes() } else { framed };
        let mut client = legacy::Client::builder(TokioExecutor::new());
        client.http2_only(protocol == Protocol::Grpc);
        let client: legacy::Client<_, Full<Bytes>> = client.build_http();
        let media_type = match (protocol, codec) {
            (Protocol::Connect, Codec::Proto) => "application/connect+proto",
            (Protocol::Connect, Codec::Json) => "application/connect+json",
            _ => Dialect::new(protocol, codec).content_type(),
        };
        let request = Request::post(format!("{}/edge.v1.Gateway/SubscribeEvents", edge(&self.gateway)))
            .header("content-type", media_type)
            .body(Full::from(body))
            .unwrap();
        let answer = arrival("an answer", client.request(request)).await.unwrap();
        assert_eq!(answer.status(), 200, "{dialect:?}");
        Opened { body: answer.into_body(), ahead: Vec::new(), dialect }
    }
}

impl Opened {
    async fn next(&mut self) -> Came {
        loop {
            if let Some(came) = self.take() {
                return came;
            }
            match arrival("something on the stream", self.body.frame()).await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if self.dialect.0 == Protocol::GrpcWebText => {
                        self.ahead.extend(STANDARD.decode(data).unwrap());
                    }
                    Ok(data) => self.ahead.extend_from_slice(&data),
                    Err(frame) => return Came::End(format!("{:?}", frame.into_trailers().unwrap())),
                },
                Some(Err(error)) => return Came::End(error.to_string()),
                None => return Came::End("nothing more".to_owned()),
            }
        }
    }

    fn take(&mut self) -> Option<Came> {
        let (&[flags, ref length @ ..], rest) = self.ahead.split_first_chunk::<5>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let message = rest.get(..length)?.to_vec();
        self.ahead.drain(..5 + length);
        if flags != 0 {
            return Some(Came::End(String::from_utf8(message).unwrap()));
        }
        Some(decode(&message, self.dialect.1).map_or(Came::Heartbeat, |event| Came::Event(Box::new(event))))
    }

    /// The next event that is no heartbeat, its signature verified.
    pub(crate) async fn event(&mut self) -> Event {
        loop {
            match self.next().await {
                Came::Heartbeat => {}
                Came::Event(event) => return *event,
                Came::End(end) => panic!("{:?} ended: {end}", self.dialect),
            }
        }
    }

    pub(crate) async fn end(&mut self) -> String {
        loop {
            match self.next().await {
                Came::Event(_) | Came::Heartbeat => {}
                Came::End(end) => return end,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_reaches_those_that_it_is_for_in_every_protocol() {
    let scene = scene("").await;
    let mut streams = Vec::new();
    for (index, dialect) in DIALECTS.into_iter().enumerate() {
        let mut stream = scene.open(dialect, &format!("session-{index}"), SubscribeOptions::default()).await;
        assert!(resumed(&stream.event().await), "{dialect:?}");
        streams.push(stream);
    }
    let mut other = scene.open(DIALECTS[0], "other-1", SubscribeOptions::default()).await;
    assert_eq!(other.event().await.subject, "user-2");
    scene.push.event("user-1", "account.changed", r#"{"balance":1}"#, "c1");
    scene.push.event("", "news", "{}", "c2");
    for stream in &mut streams {
        let first = stream.event().await;
        let got = (first.event_type.as_str(), first.subject.as_str(), first.position.as_str());
        assert_eq!(got, ("account.changed", "user-1", "c1"), "{:?}", stream.dialect);
        assert_eq!((first.event_id.as_str(), &first.payload_bytes[..]), ("event-c1", &br#"{"balance":1}"#[..]));
        let second = stream.event().await;
        assert_eq!((second.event_type.as_str(), second.subject.as_str()), ("news", ""), "{:?}", stream.dialect);
    }
    assert_eq!(other.event().await.event_type, "news", "what is for user-1 is not for user-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_resumes_without_a_hole_and_says_where_it_cannot() {
    let scene = scene("").await;
    let mut stream = scene.open(DIALECTS[0], "session-1", SubscribeOptions::default()).await;
    stream.event().await;
    for cursor in ["c1", "c2", "c3"] {
        scene.push.event("user-1", "count", cursor, cursor);
        assert_eq!(stream.event().await.position, cursor);
    }
    drop(stream);
    for dialect in DIALECTS {
        let mut stream = scene.open(dialect, "session-1", after("c1")).await;
        assert!(resumed(&stream.event().await), "{dialect:?}");
        assert_eq!(stream.event().await.position, "c2", "{dialect:?}");
        assert_eq!(stream.event().await.position, "c3", "{dialect:?}");
    }
    let mut stream = scene.open(DIALECTS[0], "session-1", after("gone")).await;
    assert!(!resumed(&stream.event().await));
    let options = SubscribeOptions { event_types: vec!["wanted".to_owned()], ..SubscribeOptions::default() };
    let mut stream = scene.open(DIALECTS[0], "session-1", options).await;
    stream.event().await;
    scene.push.event("user-1", "count", "4", "c4");
    scene.push.event("user-1", "wanted", "5", "c5");
    assert_eq!(stream.event().await.position, "c5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_sessions_streams_end_and_no_others() {
    let scene = scene("").await;
    let mut streams = Vec::new();
    for dialect in DIALECTS {
        let mut stream = scene.open(dialect, "session-1", SubscribeOptions::default()).await;
        stream.event().await;
        streams.push(stream);
        if streams.len() == 4 {
            // No more of one session at once.
            break;
        }
    }
    let mut other = scene.open(DIALECTS[0], "session-2", SubscribeOptions::default()).await;
    other.event().await;
    scene.push.revoke("session-1", "r1");
    for stream in &mut streams {
        let end = stream.end().await;
        let is_said = end.contains("failed_precondition") || end.contains("\"9\"") || end.contains("grpc-status: 9");
        assert!(is_said, "{:?}: {end}", stream.dialect);
    }
    scene.push.event("user-1", "after", "{}", "c9");
    assert_eq!(other.event().await.position, "c9");
    let mut refused = scene.open(DIALECTS[0], "session-1", SubscribeOptions::default()).await;
    assert!(refused.end().await.contains("failed_precondition"), "the id is refused whatever the lookup says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_breaks_comes_back_from_its_cursor_and_streams_go_on() {
    let scene = scene("").await;
    let mut stream = scene.open(DIALECTS[0], "session-1", SubscribeOptions::default()).await;
    stream.event().await;
    scene.push.event("user-1", "count", "1", "c1");
    assert_eq!(stream.event().await.position, "c1");
    scene.push.cut();
    let asked = eventually("the feed again", || Some(scene.push.asked()).filter(|asked| asked.len() > 1));
    assert_eq!(asked[1].cursor, "c1");
    scene.push.event("user-1", "count", "1", "c1");
    scene.push.event("user-1", "count", "2", "c2");
    assert_eq!(stream.event().await.position, "c2", "what came again is dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_streams_have_heartbeats_and_a_stop_ends_them_with_its_reason() {
    let scene = scene(", heartbeat: 1s").await;
    let mut stream = scene.open(DIALECTS[0], "session-1", SubscribeOptions::default()).await;
    stream.event().await;
    let next = stream.next().await;
    assert!(matches!(next, Came::Heartbeat), "{next:?}");
    let mut grpc = scene.open((Protocol::Grpc, Codec::Proto), "session-2", SubscribeOptions::default()).await;
    grpc.event().await;
    scene.gateway.signal("TERM");
    let end = stream.end().await;
    assert!(end.contains("unavailable") && !end.contains("nothing"), "{end}");
    let end = grpc.end().await;
    assert!(end.contains("\"grpc-status\": \"14\""), "{end}");
}
