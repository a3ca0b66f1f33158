//! What matters of the Autobahn suite's cases 1 to 9, whose numbers stand beside them.

use super::*;
use proptest::{collection::vec, prelude::*};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const MESSAGE_MAX: usize = 70_000;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// A client's frame: the first byte, and the payload, masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut frame = vec![first];
    match length {
        0..=125 => frame.push(0x80 | length as u8),
        126..=65_535 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn closing(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

/// What a server's frames are, each in a word.
fn words(mut frames: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    while let [first, length, rest @ ..] = frames {
        let (payload, after) = rest.split_at(usize::from(*length));
        words.push(match (*first, payload) {
            (PONG, payload) => format!("pong {}", String::from_utf8_lossy(payload)),
            (CLOSE, [high, low, reason @ ..]) => {
                format!("closed {} {}", u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason))
            }
            (CLOSE, []) => "closed".to_owned(),
            other => panic!("{other:?}"),
        });
        frames = after;
    }
    words
}

/// What is made of bytes that come in pieces of this size: what was said and what is answered, up to the end.
fn heard(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut socket = Socket::new(MESSAGE_MAX);
    let mut heard = Vec::new();
    'bytes: for piece in bytes.chunks(piece) {
        socket.feed(Bytes::copy_from_slice(piece));
        loop {
            let said = match socket.next() {
                Ok(None) => break,
                Ok(Some(Said::Message(message, codec))) if message.len() < 40 => {
                    format!("{codec:?} {}", String::from_utf8_lossy(&message))
                }
                Ok(Some(Said::Message(message, codec))) => format!("{codec:?} of {}", message.len()),
                Ok(Some(Said::Control(bytes))) => format!("control {bytes}"),
                Ok(Some(Said::Close)) => "close".to_owned(),
                Err(close) => {
                    heard.push(format!("violation {}", close.code));
                    socket.close(close);
                    break 'bytes;
                }
            };
            let is_last = said == "close";
            heard.push(said);
            heard.extend(words(&socket.take_answers()));
            if is_last {
                break 'bytes;
            }
        }
    }
    heard.extend(words(&socket.take_answers()));
    heard
}

fn check(bytes: &[u8], expected: &[&str]) {
    for piece in [usize::MAX, 997, 7, 1] {
        assert_eq!(heard(bytes, piece), expected, "in pieces of {piece}");
    }
}

const MALFORMED: &[&str] = &["violation 1002", "closed 1002 REQUEST_MALFORMED"];
const NO_TEXT: &[&str] = &["violation 1007", "closed 1007 REQUEST_MALFORMED"];
const TOO_LARGE: &[&str] = &["violation 1009", "closed 1009 MESSAGE_TOO_LARGE"];

#[test]
fn messages_of_every_length_are_taken() {
    check(&frame(TEXT, b""), &["Json "]);
    check(&frame(BINARY, b"\x00\xff"), &["Proto \0\u{fffd}"]);
    // 1.1.2 to 1.2.8, 9.1 to 9.6.
    for length in [125, 126, 127, 128, 65_535, 65_536, MESSAGE_MAX] {
        check(&frame(TEXT, &vec![b'*'; length]), &[&format!("Json of {length}")]);
        check(&frame(BINARY, &vec![0xfe; length]), &[&format!("Proto of {length}")]);
    }
    check(&frame(TEXT, &vec![b'*'; MESSAGE_MAX + 1]), TOO_LARGE);
    // Two to the power of 63, of which nothing else comes.
    check(&[&[BINARY, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0][..], &MASK].concat(), TOO_LARGE);
    let half = vec![b'*'; MESSAGE_MAX / 2 + 1];
    check(&[frame(0x01, &half), frame(0x80, &half)].concat(), TOO_LARGE);
}

#[test]
fn pings_are_answered_in_kind() {
    // 2.1 to 2.11.
    check(&frame(PING, b""), &["control 0", "pong "]);
    check(&frame(PING, b"Hello"), &["control 5", "pong Hello"]);
    let longest = [b'*'; 125];
    check(&frame(PING, &longest), &["control 125", &format!("pong {}", "*".repeat(125))]);
    check(&frame(PING, &[b'*'; 126]), MALFORMED);
    check(&frame(PONG, b"unasked"), &["control 7"]);
    let ten = frame(PING, b"!").repeat(10);
    check(&ten, &["control 1", "pong !"].repeat(10));
}

#[test]
fn reserved_bits_and_opcodes_are_refused() {
    // 3.1 to 3.7: no extension was negotiated.
    for bits in 1..8 {
        for first in [TEXT, BINARY, PING, CLOSE] {
            check(&frame(first | bits << 4, b""), MALFORMED);
        }
    }
    // 4.1, 4.2.
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        check(&frame(0x80 | opcode, b""), MALFORMED);
    }
    // RFC 6455 section 5.1.
    check(&[TEXT, 5, b'H', b'e', b'l', b'l', b'o'], MALFORMED);
    check(&[PING, 0], MALFORMED);
}

#[test]
fn fragments_are_put_together() {
    // 5.1, 5.2.
    check(&frame(PING & 0x7f, b"a"), MALFORMED);
    check(&frame(PONG & 0x7f, b"a"), MALFORMED);
    // 5.3 to 5.8, and one byte at a time.
    check(&[frame(0x01, b"Hel"), frame(0x80, b"lo")].concat(), &["Json Hello"]);
    let interrupted = [frame(0x01, b"Hel"), frame(PING, b"!"), frame(0x00, b""), frame(0x80, b"lo")].concat();
    check(&interrupted, &["control 1", "pong !", "Json Hello"]);
    let bytes: Vec<u8> = (0..100).flat_map(|_| frame(0x00, b"*")).collect();
    check(&[frame(0x02, b""), bytes, frame(0x80, b"")].concat(), &["Proto of 100"]);
    // 5.9 to 5.15.
    check(&frame(0x80, b"nothing to go on with"), MALFORMED);
    check(&frame(0x00, b"nothing to go on with"), MALFORMED);
    check(&[frame(0x01, b"a"), frame(TEXT, b"b")].concat(), MALFORMED);
    // 5.18.
    check(&[frame(0x01, b"a"), frame(0x01, b"b")].concat(), MALFORMED);
}

#[test]
fn text_is_utf8() {
    // 6.2: a character may be cut by a fragment.
    check(&[frame(0x01, b"H\xc3"), frame(0x80, b"\xb6ren")].concat(), &["Json Hören"]);
    check(&frame(TEXT, "κόσμε\u{10ffff}\0".as_bytes()), &["Json κόσμε\u{10ffff}\0"]);
    // 6.3 to 6.21: cut short, surrogates, overlong, beyond Unicode, never a first byte.
    for wrong in [&b"\xce"[..], b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xff", b"\x80", b"a\xcebc"] {
        check(&frame(TEXT, wrong), NO_TEXT);
        check(&[frame(0x01, b"a"), frame(0x80, wrong)].concat(), NO_TEXT);
    }
    // 6.4: not only at the end of the message.
    check(&frame(0x01, b"\xf4\x90"), NO_TEXT);
}

#[test]
fn a_close_is_answered_with_its_code() {
    // 7.1 to 7.3.
    check(&frame(CLOSE, b""), &["close", "closed"]);
    check(&[closing(1000, b"bye"), frame(TEXT, b"ignored")].concat(), &["close", "closed 1000 bye"]);
    check(&frame(CLOSE, b"\x03"), MALFORMED);
    check(&closing(1000, &[b'*'; 123]), &["close", &format!("closed 1000 {}", "*".repeat(123))]);
    check(&closing(1000, &[b'*'; 124]), MALFORMED);
    // 7.5.1.
    check(&closing(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"), NO_TEXT);
    // 7.7.
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        check(&closing(code, b""), &["close", &format!("closed {code} ")]);
    }
    // 7.9, 7.13.
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let said = heard(&closing(code, b""), usize::MAX);
        assert!(said.len() == 2 && said[0] == "close" && said[1].starts_with("closed 1002"), "{code}: {said:?}");
    }
}

#[test]
fn after_the_request_nothing_but_control_frames_is_taken() {
    let later = |bytes: &[u8]| {
        let mut socket = Socket::new(MESSAGE_MAX);
        socket.take_no_more();
        socket.feed(Bytes::copy_from_slice(bytes));
        socket.next()
    };
    let malformed = Close { code: 1002, reason: filters::api::Reason::RequestMalformed };
    for second in [frame(TEXT, b""), frame(BINARY, b"x"), frame(0x01, b"a beginning"), frame(TEXT, &[b'*'; 4000])] {
        assert!(matches!(later(&second), Ok(Some(Said::Message(..)))));
    }
    assert_eq!(later(&frame(PING, b"!")), Ok(Some(Said::Control(1))));
    assert_eq!(later(&frame(PING, &[b'*'; 126])), Err(malformed));
    assert_eq!(later(&frame(TEXT, &[b'*'; 5000])).map_err(|close| close.code), Err(1009));
}

#[test]
fn events_are_framed_by_their_length() {
    for (length, head) in [
        (0, &[TEXT, 0][..]),
        (125, &[TEXT, 125]),
        (126, &[TEXT, 126, 0, 126]),
        (65_535, &[TEXT, 126, 255, 255]),
        (65_536, &[TEXT, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let frame = message(&vec![b'*'; length], Codec::Json);
        assert!(frame.starts_with(head) && frame.len() == head.len() + length, "{length}");
    }
}

proptest! {
    /// Frames of anybody's making, most of them nearly right.
    #[test]
    fn what_is_heard_does_not_depend_on_how_it_is_cut(
        frames in vec((prop_oneof![4 => 0x80..=0x8a_u8, 2 => 0..=2_u8, 1 => any::<u8>()], vec(any::<u8>(), 0..140)), 1..6),
        tail in vec(any::<u8>(), 0..20),
        piece in 1..300_usize,
    ) {
        let frames = frames.iter().flat_map(|(first, payload)| frame(*first, payload));
        let bytes: Vec<u8> = frames.chain(tail).collect();
        prop_assert_eq!(heard(&bytes, piece), heard(&bytes, usize::MAX));
    }
}
