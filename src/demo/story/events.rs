//! Events: pushed to the devices of a user, signed; a stream that is cut goes on where it was; a revoked one ends.

use super::{
    Failed, Story,
    commands::{PLAIN, dialect, fresh},
    expect,
};
use crate::client::{Codec, Device, Dialect, HttpVersion, Protocol, Subscription};
use bytes::Bytes;
use http::{HeaderMap, Method};
use proto::edge::v1::{Event, SubscribeOptions};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const GRPC: Dialect = dialect(Protocol::Grpc, Codec::Proto, HttpVersion::Http2);

const WEB: Dialect = dialect(Protocol::GrpcWebText, Codec::Proto, HttpVersion::Http1);

const STREAMS: [(&str, Dialect); 3] =
    [("gRPC", GRPC), ("Connect, JSON, HTTP/1.1", PLAIN), ("gRPC-Web in text, HTTP/1.1", WEB)];

/// An event is there in milliseconds, and the feed within its first attempts.
const DEADLINE: Duration = Duration::from_secs(15);

const FEED_POLL: Duration = Duration::from_millis(20);

impl Story<'_> {
    pub(super) async fn events(&mut self, device: &Device) -> Result<(), Failed> {
        self.has_feed().await?;
        let phone = self.sign_in().await?;
        let mut streams = Vec::new();
        for (name, dialect) in STREAMS {
            let step = format!("{name}: the new device subscribes");
            streams.push(self.subscribed(&step, &phone, dialect, "", true).await?);
            self.narrator.held(&step, "gateway.server_time, in answer to this request; its signature holds");
        }
        let step = "the first device renames the account";
        let request_id = self.rename(step, device, "Ada").await?;
        let mut signature = None;
        for stream in &mut streams {
            let event = self.renamed(step, stream, "Ada", &request_id).await?;
            if *signature.get_or_insert_with(|| event.signature.clone()) != event.signature {
                return Err(Failed::new(step, "one signature for all streams", "another"));
            }
        }
        self.narrator.held(step, "user.account.renamed on all three streams; one signature, and it holds");

        self.cut(device, &phone, &mut streams).await?;

        let step = "a stream from a position that is not held";
        let mut other = self.subscribed(step, device, GRPC, "of-long-ago", false).await?;
        self.narrator.held(step, "resumed: false, so the device knows that it must read its state anew");

        self.revoked(&phone, streams).await?;
        let step = "the first device's stream, meanwhile";
        let request_id = self.rename(step, device, "Countess").await?;
        self.renamed(step, &mut other, "Countess", &request_id).await?;
        self.narrator.held(step, "user.account.renamed");
        Ok(())
    }

    /// A gateway is not ready as long as it could miss a revocation.
    async fn has_feed(&mut self) -> Result<(), Failed> {
        let step = "GET /readyz";
        let ready = async {
            loop {
                let (admin, path) = (&self.gateway.admin, "/readyz");
                let (headers, body) = (HeaderMap::new(), Bytes::new());
                let came = self.client.exchange(admin, HttpVersion::Http1, Method::GET, path, headers, body).await;
                if came.is_ok_and(|reply| reply.status == 200) {
                    return;
                }
                tokio::time::sleep(FEED_POLL).await;
            }
        };
        let ready = tokio::time::timeout(DEADLINE, ready).await;
        ready.map_err(|_| Failed::new(step, "200", "none, as long as it was waited for"))?;
        self.narrator.held(step, "200, the gateway holds the backend's stream of events");
        Ok(())
    }

    /// One stream is cut, much happens, and it is resumed: what another saw that stood is what it must see.
    async fn cut(&mut self, device: &Device, phone: &Device, streams: &mut Vec<Subscription>) -> Result<(), Failed> {
        let step = "one stream is cut, the account is renamed twice, and the stream resumed";
        let (Some(cut), Some(whole)) = (streams.pop(), streams.first_mut()) else {
            return Err(Failed::new(step, "two streams", "fewer"));
        };
        let position = cut.position().to_owned();
        drop(cut);
        let mut sent = Vec::new();
        for name in ["Ada L.", "Ada Lovelace"] {
            sent.push((name, self.rename(step, device, name).await?));
        }
        let mut resumed = self.subscribed(step, phone, WEB, &position, true).await?;
        let name = "Ada King";
        sent.push((name, self.rename(step, device, name).await?));
        for (name, request_id) in &sent {
            let expected = self.renamed(step, whole, name, request_id).await?;
            let came = self.renamed(step, &mut resumed, name, request_id).await?;
            expect::same(step, &expected.event_id.into(), &came.event_id.into())?;
        }
        streams.push(resumed);
        self.narrator.held(step, "both, and then what came next: nothing missing, nothing twice, in order");
        Ok(())
    }

    async fn revoked(&mut self, device: &Device, streams: Vec<Subscription>) -> Result<(), Failed> {
        let step = "the backend revokes the new device's session";
        let since = Instant::now();
        if !self.backend.revoke(&device.device_session_id) {
            return Err(Failed::new(step, "a session to revoke", "none"));
        }
        for mut stream in streams {
            let ended = loop {
                match stream.next(DEADLINE).await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Err(Failed::new(step, "SESSION_REVOKED", "an end without a reason")),
                    Err(fault) => break fault,
                }
            };
            expect::ended(step, ("failed_precondition", "SESSION_REVOKED"), ended)?;
        }
        let took = since.elapsed().as_millis();
        self.narrator.held(step, &format!("its streams end with failed_precondition, SESSION_REVOKED, in {took} ms"));
        let request = device.sign(&fresh(step, "user.account.get", "")?);
        self.refused("a command of it", &request, ("failed_precondition", "SESSION_REVOKED")).await
    }

    async fn subscribed(
        &self,
        step: &str,
        device: &Device,
        dialect: Dialect,
        resume_after: &str,
        resumed: bool,
    ) -> Result<Subscription, Failed> {
        let options = SubscribeOptions { resume_after: resume_after.to_owned(), ..SubscribeOptions::default() };
        let opened = self.client.subscribe(&self.gateway.edge, dialect, device, &options).await;
        let opened = opened.map_err(|fault| Failed::new(step, "a stream", fault.to_string()))?;
        expect::same(step, &json!({ "resumed": resumed }), &json!({ "resumed": opened.resumed }))?;
        Ok(opened)
    }

    /// Renames the account; gives the id of the request.
    async fn rename(&self, step: &str, device: &Device, name: &str) -> Result<String, Failed> {
        let payload = json!({ "display_name": name }).to_string();
        let request = device.sign(&fresh(step, "user.account.rename", payload)?);
        let came = self.call(PLAIN, &request).await;
        expect::answered(step, "ok", device, &request, came)?;
        Ok(request.request_id)
    }

    /// The next event of a stream, where it says that this request has renamed the account so.
    async fn renamed(
        &self,
        step: &str,
        stream: &mut Subscription,
        name: &str,
        request_id: &str,
    ) -> Result<Event, Failed> {
        let came = stream.next(DEADLINE).await.map_err(|fault| Failed::new(step, "an event", fault.to_string()))?;
        let event = came.ok_or_else(|| Failed::new(step, "an event", "the stream's end"))?;
        let payload: Value = serde_json::from_slice(&event.payload_bytes).unwrap_or_default();
        let expected = json!(["user.account.renamed", name, request_id]);
        expect::same(step, &expected, &json!([event.event_type, payload.get("display_name"), event.request_id]))?;
        Ok(event)
    }
}
