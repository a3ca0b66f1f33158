//! Messages behind a flag and a length, as gRPC, gRPC-Web and Connect's streams have them.

use super::encoding::{Encoding, EncodingFault};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// A flag, and a length in big-endian bytes.
pub const HEAD_BYTES: usize = 5;
/// The message is compressed.
pub const COMPRESSED: u8 = 1;
/// Connect: it is no message but how the stream ends.
pub const END_OF_STREAM: u8 = 2;
/// gRPC-Web: it is no message but the trailers.
pub const TRAILERS: u8 = 0x80;

/// Frames that cannot be read as messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// A message is larger than it may be, as it came or decompressed.
    #[error("the message is larger than it may be")]
    TooLarge,
    /// A flag that messages do not have.
    #[error("the frame has flags that a message has not")]
    Flags,
    /// It says that it is compressed, but no header says how.
    #[error("the frame is compressed, but no header names the encoding")]
    NoEncoding,
    /// It was not compressed in the way that the header says.
    #[error("the message cannot be decompressed")]
    Broken,
    /// The stream ends within a frame.
    #[error("the stream ends within a frame")]
    Cut,
}

impl From<EncodingFault> for FrameFault {
    fn from(fault: EncodingFault) -> Self {
        match fault {
            EncodingFault::TooLarge => Self::TooLarge,
            EncodingFault::Broken => Self::Broken,
        }
    }
}

/// Takes bytes as they come, and gives messages. It holds one frame at most, and what came with it.
#[derive(Debug)]
pub struct FrameReader {
    ahead: BytesMut,
    encoding: Encoding,
    bytes_max: usize,
}

impl FrameReader {
    /// For messages of at most `bytes_max` bytes, compressed as a header says.
    #[must_use]
    pub fn new(encoding: Encoding, bytes_max: usize) -> Self {
        Self { ahead: BytesMut::new(), encoding, bytes_max }
    }

    /// Takes what has come.
    pub fn push(&mut self, bytes: Bytes) {
        // A piece that nobody else holds is taken over as it is: most hold just one frame.
        self.ahead = match bytes.try_into_mut() {
            Ok(whole) if self.ahead.is_empty() => whole,
            Ok(more) => {
                self.ahead.extend_from_slice(&more);
                return;
            }
            Err(shared) => {
                self.ahead.extend_from_slice(&shared);
                return;
            }
        };
    }

    /// The next whole message, decompressed.
    ///
    /// # Errors
    /// A length is refused as soon as it is read, whether or not so much ever comes.
    pub fn read(&mut self) -> Result<Option<Bytes>, FrameFault> {
        let Some((flags, length)) = self.whole()? else { return Ok(None) };
        self.ahead.advance(HEAD_BYTES);
        let message = self.ahead.split_to(length).freeze();
        if self.ahead.is_empty() {
            // What is left of the room is the message's: it would be held for as long as nothing more comes.
            self.ahead = BytesMut::new();
        }
        match (flags, self.encoding) {
            (COMPRESSED, Encoding::Identity) => Err(FrameFault::NoEncoding),
            (COMPRESSED, encoding) => Ok(encoding.decompress(&message, self.bytes_max)?.into()),
            _ => Ok(Some(message)),
        }
    }

    /// Whether [`FrameReader::read`] has something to say: a message, or what is wrong.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.whole().transpose().is_some()
    }

    /// The flags and the length of a frame that has come whole.
    fn whole(&self) -> Result<Option<(u8, usize)>, FrameFault> {
        let Some((&[flags, ref length @ ..], rest)) = self.ahead.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        if flags & !COMPRESSED != 0 {
            return Err(FrameFault::Flags);
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > self.bytes_max {
            return Err(FrameFault::TooLarge);
        }
        Ok((rest.len() >= length).then_some((flags, length)))
    }

    /// To be asked where no more comes.
    ///
    /// # Errors
    /// Where it ended within a frame.
    pub fn end(&self) -> Result<(), FrameFault> {
        if self.ahead.is_empty() { Ok(()) } else { Err(FrameFault::Cut) }
    }
}

/// A message in its frame, compressed where that is asked for and worth it.
#[must_use]
pub fn frame(message: &Bytes, encoding: Encoding) -> Bytes {
    match encoding.shrink(message) {
        Some(compressed) => framed(COMPRESSED, &compressed),
        None => framed(0, message),
    }
}

/// Bytes behind a flag and their length.
#[must_use]
pub fn framed(flags: u8, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + bytes.len());
    frame.put_u8(flags);
    frame.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    frame.put_slice(bytes);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &[u8], encoding: Encoding) -> Result<Vec<Bytes>, FrameFault> {
        let mut reader = FrameReader::new(encoding, 4);
        reader.push(Bytes::copy_from_slice(body));
        let mut messages = Vec::new();
        loop {
            let is_ready = reader.is_ready();
            let read = reader.read();
            assert_eq!(is_ready, read != Ok(None), "{body:?}");
            let Some(message) = read? else { break };
            messages.push(message);
        }
        reader.end().map(|()| messages)
    }

    #[test]
    fn frames_are_messages_or_refused() {
        for (body, expected) in [
            (&b""[..], Ok(0)),
            (b"\0\0\0\0\x02ab", Ok(1)),
            (b"\0\0\0\0\0", Ok(1)),
            (b"\0\0\0\0\x01a\0\0\0\0\x01a", Ok(2)),
            (b"\0\0\0\0", Err(FrameFault::Cut)),
            (b"\0\0\0\0\x03ab", Err(FrameFault::Cut)),
            (b"\0\0\0\0\x01ab", Err(FrameFault::Cut)),
            (b"\x01\0\0\0\x02ab", Err(FrameFault::NoEncoding)),
            (b"\x02\0\0\0\x02{}", Err(FrameFault::Flags)),
            (b"\x80\0\0\0\x02ab", Err(FrameFault::Flags)),
            (b"\0\0\0\0\x04abcd", Ok(1)),
            (b"\0\0\0\0\x05", Err(FrameFault::TooLarge)),
            (b"\0\xff\xff\xff\xff", Err(FrameFault::TooLarge)),
        ] {
            assert_eq!(read(body, Encoding::Identity).map(|messages| messages.len()), expected, "{body:?}");
        }
        assert_eq!(read(b"\x01\0\0\0\x02ab", Encoding::Gzip), Err(FrameFault::Broken));
        assert_eq!(read(b"\0\0\0\0\x02ab", Encoding::Gzip), Ok(vec![Bytes::from_static(b"ab")]));
        let bomb = framed(COMPRESSED, &Encoding::Zstd.compress(&[0; 1 << 20]).unwrap());
        let mut reader = FrameReader::new(Encoding::Zstd, 1 << 16);
        reader.push(bomb);
        assert_eq!(reader.read(), Err(FrameFault::TooLarge));
    }

    proptest! {
        #[test]
        fn frames_survive_being_cut_anywhere(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..6),
            pieces in prop::collection::vec(1..700_usize, 1..40),
            encoding in prop::sample::select(vec![Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Br]),
        ) {
            let messages: Vec<Bytes> = messages.into_iter().map(Bytes::from).collect();
            let mut wire: Bytes = messages.iter().flat_map(|message| frame(message, encoding)).collect();
            let mut reader = FrameReader::new(encoding, 2000);
            let mut read = Vec::new();
            for piece in pieces.into_iter().cycle() {
                if wire.is_empty() {
                    break;
                }
                reader.push(wire.split_to(piece.min(wire.len())));
                while let Some(message) = reader.read().unwrap() {
                    read.push(message);
                }
            }
            prop_assert_eq!(reader.end(), Ok(()));
            prop_assert_eq!(read, messages);
        }

        #[test]
        fn no_bytes_make_the_reader_hold_more_than_it_was_given(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = FrameReader::new(Encoding::Br, 64);
            reader.push(body.into());
            while let Ok(Some(message)) = reader.read() {
                prop_assert!(message.len() <= 64);
            }
        }
    }
}
