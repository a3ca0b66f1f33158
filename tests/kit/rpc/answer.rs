//! Answers, the same whatever protocol brought them.

use super::{
    Dialect,
    Protocol::{Connect, ConnectStream, GrpcWeb, GrpcWebText},
};
use base64::{
    Engine as _,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{STANDARD, STANDARD_NO_PAD},
    },
};
use h2::Reason;
use http::{HeaderMap, HeaderName};
use hyper::body::Bytes;
use percent_encoding::percent_decode;

const WORDS: [&str; 17] = [
    "ok",
    "canceled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// A failure, the same whatever protocol said it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failed {
    pub code: String,
    pub message: String,
    /// Names of messages and their bytes.
    pub details: Vec<(String, Vec<u8>)>,
}

/// An answer, the same whatever protocol brought it.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Each with its flag; 0 in Connect's unary answers.
    pub messages: Vec<(u8, Bytes)>,
    pub trailers: HeaderMap,
    /// None where the call succeeded.
    pub failed: Option<Failed>,
    /// How the stream was reset, where it was.
    pub reset: Option<Reason>,
}

impl Answer {
    /// What it says in the words of a protocol.
    pub fn understood(mut self, dialect: Dialect, bytes: Vec<u8>) -> Self {
        if dialect.0 == Connect {
            if self.status == 200 {
                self.messages.push((0, bytes.into()));
            } else {
                self.failed = serde_json::from_slice(&bytes).ok().map(|error| connect_error(&error));
            }
            let behind =
                |(name, value): (&HeaderName, _)| Some((name.as_str().strip_prefix("trailer-")?.parse().ok()?, value));
            self.trailers = self.headers.iter().filter_map(|(name, value)| behind((name, value.clone()))).collect();
            return self;
        }
        let bytes = if dialect.0 == GrpcWebText { from_pieces(&bytes) } else { bytes };
        let mut rest = bytes.as_slice();
        while let [flag, a, b, c, d, behind @ ..] = rest {
            let (message, behind) = behind.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
            match (dialect.0, flag & !1) {
                (_, 0) => self.messages.push((*flag, Bytes::copy_from_slice(message))),
                (ConnectStream, 2) => self.read_connect_end(message),
                (GrpcWeb | GrpcWebText, 0x80) => self.trailers = lines(message),
                (_, flag) => panic!("a frame with the flags {flag}"),
            }
            rest = behind;
        }
        if dialect.0 != ConnectStream {
            let from = if self.trailers.contains_key("grpc-status") { &self.trailers } else { &self.headers };
            self.failed = grpc_status(from);
        }
        self
    }

    /// The code, or what else it came to.
    pub fn code(&self) -> &str {
        match (&self.failed, self.reset) {
            (Some(failed), _) => &failed.code,
            (None, Some(_)) => "reset",
            (None, None) if self.status == 200 => "ok",
            (None, None) => "no status",
        }
    }

    /// The `reason` of a `google.rpc.ErrorInfo` among the details.
    pub fn reason(&self) -> Option<String> {
        let details = &self.failed.as_ref()?.details;
        let info = details.iter().find(|(name, _)| name == "google.rpc.ErrorInfo")?;
        let info: proto::google::rpc::ErrorInfo = prost::Message::decode(info.1.as_slice()).expect("an ErrorInfo");
        assert_eq!(info.domain, "edge.v1");
        Some(info.reason)
    }

    /// A header, or a trailer.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter().chain(self.trailers.get_all(name));
        values.map(|value| value.to_str().expect("visible ASCII")).collect()
    }

    fn read_connect_end(&mut self, message: &[u8]) {
        let end: serde_json::Value = serde_json::from_slice(message).expect("an EndStreamResponse");
        self.failed = end.get("error").map(connect_error);
        for (name, values) in end["metadata"].as_object().into_iter().flatten() {
            for value in values.as_array().unwrap() {
                self.trailers.append(name.parse::<HeaderName>().unwrap(), value.as_str().unwrap().parse().unwrap());
            }
        }
    }
}

fn connect_error(error: &serde_json::Value) -> Failed {
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    let detail = |detail: &serde_json::Value| {
        let value = STANDARD_NO_PAD.decode(detail["value"].as_str().unwrap()).expect("base64 without padding");
        (detail["type"].as_str().unwrap().to_owned(), value)
    };
    let details = error["details"].as_array().map(|details| details.iter().map(detail).collect()).unwrap_or_default();
    Failed { code: text("code"), message: text("message"), details }
}

/// `google.rpc.Status`, by its numbers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<prost_types::Any>,
}

fn grpc_status(headers: &HeaderMap) -> Option<Failed> {
    let Some(number) = headers.get("grpc-status") else {
        return Some(Failed { code: "no status".to_owned(), ..Failed::default() });
    };
    let number: usize = number.to_str().unwrap().parse().expect("a number");
    if number == 0 {
        return None;
    }
    let message = headers.get("grpc-message").map(|message| percent_decode(message.as_bytes()).decode_utf8().unwrap());
    let lenient = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let details = headers.get("grpc-status-details-bin").map(|whole| {
        let status: Status = prost::Message::decode(lenient.decode(whole).expect("base64").as_slice()).unwrap();
        assert_eq!(status.code as usize, number);
        let detail = |any: prost_types::Any| {
            let name = any.type_url.strip_prefix("type.googleapis.com/").expect("the usual prefix").to_owned();
            (name, any.value)
        };
        status.details.into_iter().map(detail).collect()
    });
    let message = message.map(|message| message.into_owned()).unwrap_or_default();
    Some(Failed { code: WORDS[number].to_owned(), message, details: details.unwrap_or_default() })
}

/// The trailers of gRPC-Web.
fn lines(block: &[u8]) -> HeaderMap {
    let block = std::str::from_utf8(block).expect("trailers are text");
    let mut trailers = HeaderMap::new();
    for line in block.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').expect("a name and a value");
        assert_eq!(name, name.to_lowercase());
        trailers.append(name.parse::<HeaderName>().unwrap(), value.trim().parse().unwrap());
    }
    trailers
}

/// Base64 in pieces, each with its own padding.
fn from_pieces(body: &[u8]) -> Vec<u8> {
    body.chunks(4).flat_map(|piece| STANDARD.decode(piece).expect("base64")).collect()
}
