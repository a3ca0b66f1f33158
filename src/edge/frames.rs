//! An event as it is written: the same bytes for all devices that speak alike.
//!
//! All devices of an event have it within a moment, one after the other. So what was framed last is all that is kept,
//! and an event of the history costs nothing beside itself.

use crate::{events::hub::Encoded, rpc::Codec, wire::Encoding};
use bytes::Bytes;
use std::{cell::RefCell, collections::VecDeque, sync::Arc};

/// So many are kept, for each thread.
const KEPT: usize = 8;
/// A larger one is framed anew for each device: that costs less than sending it does.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// What makes two transports' frames the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A message of a WebSocket.
    Socket(Codec),
    /// A server-sent event.
    Sse,
    /// A message of RPC.
    Rpc(Codec, Encoding),
}

struct Framed {
    event: Arc<Encoded>,
    form: Form,
    frame: Bytes,
}

thread_local! {
    static LAST: RefCell<VecDeque<Framed>> = const { RefCell::new(VecDeque::new()) };
}

/// An event in a form, which `frame` makes where nobody has just had the same.
pub fn framed(event: &Arc<Encoded>, form: Form, frame: impl FnOnce() -> Bytes) -> Bytes {
    let is_it = |framed: &&Framed| Arc::ptr_eq(&framed.event, event) && framed.form == form;
    let known = LAST.with_borrow(|last| last.iter().find(is_it).map(|framed| framed.frame.clone()));
    known.unwrap_or_else(|| {
        let frame = frame();
        if frame.len() <= KEPT_BYTES_MAX {
            let framed = Framed { event: Arc::clone(event), form, frame: frame.clone() };
            LAST.with_borrow_mut(|last| {
                last.truncate(KEPT - 1);
                last.push_front(framed);
            });
        }
        frame
    })
}

/// An event in a codec, encoded once for all of its streams.
pub fn encoded(event: &Encoded, codec: Codec) -> &Bytes {
    match codec {
        Codec::Proto => &event.bytes,
        Codec::Json => event.json(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Arc<Encoded> {
        Arc::new(Encoded::heartbeat())
    }

    #[test]
    fn a_frame_is_made_once_while_it_is_among_the_last() {
        let (first, second) = (event(), event());
        let text = |bytes: &'static str| move || Bytes::from_static(bytes.as_bytes());
        assert_eq!(framed(&first, Form::Sse, text("a")), "a");
        assert_eq!(framed(&first, Form::Sse, text("b")), "a");
        assert_eq!(framed(&first, Form::Socket(Codec::Json), text("c")), "c", "another form");
        assert_eq!(framed(&second, Form::Sse, text("d")), "d", "another event, if one that says the same");
        for _ in 0..KEPT {
            framed(&event(), Form::Sse, text("x"));
        }
        assert_eq!(framed(&first, Form::Sse, text("e")), "e");
        let held = Arc::strong_count(&second);
        assert_eq!(held, 1, "what is not among the last is not held");
    }

    #[test]
    fn a_large_one_is_not_kept() {
        let event = event();
        framed(&event, Form::Sse, || vec![b'x'; KEPT_BYTES_MAX + 1].into());
        assert_eq!(framed(&event, Form::Sse, || Bytes::from_static(b"y")), "y");
    }
}
