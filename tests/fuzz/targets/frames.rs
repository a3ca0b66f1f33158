//! Messages in frames: what comes out is no larger than it may be, does not depend on how the bytes were cut, and can
//! be framed again.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portcullis::wire::{
    Encoding,
    frames::{FrameFault, FrameReader, frame},
};

const BYTES_MAX: usize = 1 << 12;
const ENCODINGS: [Encoding; 4] = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Br];

/// The messages of a body that comes in pieces of `piece` bytes, and how it ended.
fn read(body: &[u8], piece: usize, encoding: Encoding) -> (Vec<Bytes>, Result<(), FrameFault>) {
    let mut reader = FrameReader::new(encoding, BYTES_MAX);
    let mut messages = Vec::new();
    for piece in body.chunks(piece) {
        reader.push(Bytes::copy_from_slice(piece));
        loop {
            let is_ready = reader.is_ready();
            let read = reader.read();
            assert_eq!(is_ready, read != Ok(None));
            match read {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(fault) => return (messages, Err(fault)),
            }
        }
    }
    let end = reader.end();
    (messages, end)
}

fuzz_target!(|input: &[u8]| {
    // The first byte says in which encoding, the second how the body is cut.
    let Some((&[encoding, piece], body)) = input.split_first_chunk() else { return };
    let encoding = ENCODINGS[usize::from(encoding) % ENCODINGS.len()];
    let (messages, end) = read(body, body.len().max(1), encoding);
    assert!(messages.iter().all(|message| message.len() <= BYTES_MAX));
    assert_eq!(read(body, usize::from(piece).max(1), encoding), (messages.clone(), end));
    let framed: Vec<u8> = messages.iter().flat_map(|message| frame(message, encoding)).collect();
    assert_eq!(read(&framed, framed.len().max(1), encoding), (messages, Ok(())));
});
