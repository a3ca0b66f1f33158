//! Why a WebSocket is closed, in the words of RFC 6455 section 7.4 or the contract's.

use crate::wire::Code;
use filters::api::Reason;
use tungstenite::{
    Error, Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// What is added to the number of a code: 4000 to 4999 are for the applications themselves.
const REFUSED: u16 = 4000;

/// A close by the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// The number on the wire.
    pub code: u16,
    /// Its reason, on the wire and in the log.
    pub reason: Reason,
}

impl Close {
    /// A refusal, or the gateway's own end.
    #[must_use]
    pub fn of(reason: Reason) -> Self {
        let code = match reason {
            Reason::GatewayShuttingDown => CloseCode::Away.into(),
            _ => REFUSED + u16::try_from(Code::from(reason.rpc_code()).number()).unwrap_or_default(),
        };
        Self { code, reason }
    }

    /// A client that does not keep to the protocol.
    #[must_use]
    pub fn violation(error: &Error) -> Self {
        let (code, reason) = match error {
            Error::Utf8(_) => (CloseCode::Invalid, Reason::RequestMalformed),
            Error::Capacity(_) => (CloseCode::Size, Reason::MessageTooLarge),
            _ => (CloseCode::Protocol, Reason::RequestMalformed),
        };
        Self { code: code.into(), reason }
    }

    /// As it is written.
    #[must_use]
    pub fn frame(self) -> CloseFrame {
        CloseFrame { code: self.code.into(), reason: Utf8Bytes::from_static(self.reason.as_str()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_says_how_to_come_back() {
        for (reason, code) in [
            (Reason::SignatureInvalid, 4016),
            (Reason::SessionRevoked, 4009),
            (Reason::ConsumerTooSlow, 4008),
            (Reason::EnvelopeInvalid, 4003),
            (Reason::RequestTimeout, 4004),
            (Reason::SessionLookupUnavailable, 4014),
            (Reason::GatewayShuttingDown, 1001),
        ] {
            let frame = Close::of(reason).frame();
            assert_eq!((u16::from(frame.code), frame.reason.as_str()), (code, reason.as_str()));
        }
    }

    #[test]
    fn every_reason_fits_into_a_control_frame() {
        for reason in Reason::ALL {
            let Close { code, .. } = Close::of(*reason);
            assert!(reason.as_str().len() <= 123 && (code == 1001 || (4001..=4016).contains(&code)), "{reason:?}");
        }
    }
}
