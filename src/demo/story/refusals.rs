//! Commands that must not get through.

use super::{
    Failed, Story,
    commands::{PLAIN, fresh},
    expect,
};
use crate::{
    client::{Codec, Device, Dialect, Protocol},
    demo::stage::fresh_key,
};
use bytes::Bytes;
use proto::edge::v1::ExecuteCommandRequest;

const GET: &str = "user.account.get";

impl Story<'_> {
    pub(super) async fn refusals(&mut self, device: &Device) -> Result<(), Failed> {
        self.replayed(device).await?;
        self.forged(device).await?;

        let step = "a payload changed after signing";
        let mut request = device.sign(&fresh(step, "user.games.open", r#"{"title":"Go"}"#)?);
        request.payload_bytes = Bytes::from_static(br#"{"title":"No"}"#);
        self.refused(step, &request, ("invalid_argument", "PAYLOAD_HASH_MISMATCH")).await?;

        let step = "a command signed two minutes ago";
        let mut command = fresh(step, GET, "")?;
        command.timestamp_ms -= 120_000;
        self.refused(step, &device.sign(&command), ("failed_precondition", "REQUEST_STALE")).await?;

        let step = "a message_type that no route has";
        let request = device.sign(&fresh(step, "user.account.destroy", "")?);
        self.refused(step, &request, ("unimplemented", "MESSAGE_TYPE_UNKNOWN")).await?;

        let step = "a device session that nobody opened";
        let stranger = Device { device_session_id: "session-of-nobody".to_owned(), ..device.clone() };
        let request = stranger.sign(&fresh(step, GET, "")?);
        self.refused(step, &request, ("unauthenticated", "SESSION_UNKNOWN")).await
    }

    async fn replayed(&mut self, device: &Device) -> Result<(), Failed> {
        let step = "the same request again, over each protocol";
        let request = device.sign(&fresh(step, GET, "")?);
        let came = self.call(PLAIN, &request).await;
        expect::answered(step, "ok", device, &request, came)?;
        for protocol in [Protocol::Connect, Protocol::Grpc, Protocol::GrpcWeb] {
            let came = self.call(Dialect::new(protocol, Codec::Proto), &request).await;
            expect::refused(step, ("already_exists", "REQUEST_REPLAYED"), came)?;
        }
        self.narrator.held(step, "already_exists, REQUEST_REPLAYED");
        Ok(())
    }

    async fn forged(&mut self, device: &Device) -> Result<(), Failed> {
        let step = "a command signed with another key";
        let forger = Device { key: fresh_key().map_err(|fault| Failed::fault(step, &fault))?, ..device.clone() };
        let command = fresh(step, GET, "")?;
        self.refused(step, &forger.sign(&command), ("unauthenticated", "SIGNATURE_INVALID")).await?;

        let step = "the forged request's id, used by the device itself";
        let request = device.sign(&command);
        let came = self.call(PLAIN, &request).await;
        expect::answered(step, "ok", device, &request, came)?;
        self.narrator.held(step, "ok, a forger burns no ids");
        Ok(())
    }

    pub(super) async fn refused(
        &mut self,
        step: &str,
        request: &ExecuteCommandRequest,
        expected: (&str, &str),
    ) -> Result<(), Failed> {
        let came = self.call(PLAIN, request).await;
        let refused = expect::refused(step, expected, came)?;
        self.narrator.held(step, &format!("{}, {}", refused.code, expected.1));
        Ok(())
    }
}
