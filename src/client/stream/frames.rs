//! Frames as they come, in pieces of any size, in binary or in base64.

use super::super::{CallError, frame::Frame, refused::BASE64};
use base64::Engine as _;
use bytes::{Buf as _, BytesMut};

const HEAD_BYTES: usize = 5;

/// The largest event that a gateway can be made to take, 16 MiB, in JSON's base64, and room to spare.
const FRAME_BYTES_MAX: usize = 32 << 20;

/// Makes frames of a body.
#[derive(Debug)]
pub(super) struct Frames {
    is_text: bool,
    /// The beginning of a group of four base64 characters.
    text: Vec<u8>,
    ahead: BytesMut,
}

impl Frames {
    pub(super) fn new(is_text: bool) -> Self {
        Self { is_text, text: Vec::new(), ahead: BytesMut::new() }
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// Where it is no base64.
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<(), CallError> {
        if !self.is_text {
            self.ahead.extend_from_slice(piece);
            return Ok(());
        }
        self.text.extend_from_slice(piece);
        let (groups, rest) = self.text.as_chunks::<4>();
        let mut decoded = Vec::with_capacity(groups.len() * 3);
        // Several texts may follow each other, each padded by itself.
        for text in groups.split_inclusive(|group| group.contains(&b'=')) {
            let malformed = |fault| CallError::Malformed(format!("base64: {fault}"));
            BASE64.decode_vec(text.as_flattened(), &mut decoded).map_err(malformed)?;
        }
        self.text = rest.to_vec();
        self.ahead.extend_from_slice(&decoded);
        Ok(())
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// Where it says that it is larger than any event.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, CallError> {
        let Some(&[flags, ref length @ ..]) = self.ahead.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(CallError::Malformed(format!("a frame of {length} bytes")));
        }
        if self.ahead.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        self.ahead.advance(HEAD_BYTES);
        Ok(Some(Frame { flags, payload: self.ahead.split_to(length).freeze() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(frames: &mut Frames) -> Vec<(u8, Vec<u8>)> {
        let next = || frames.next().unwrap().map(|frame| (frame.flags, frame.payload.to_vec()));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn frames_are_read_however_the_body_is_cut() {
        let [one, two] = [b"\0\0\0\0\x03abc".as_slice(), b"\x80\0\0\0\0"];
        let texts = [one, two].map(|frame| BASE64.encode(frame));
        assert!(texts[1].ends_with('='));
        for (is_text, body) in [
            (false, [one, two, one].concat()),
            (true, [&texts[1], &texts[0]].map(|text| text.as_bytes()).concat()),
            (true, BASE64.encode([two, one].concat()).into_bytes()),
        ] {
            for size in 1..=body.len() {
                let mut frames = Frames::new(is_text);
                let mut came = Vec::new();
                for piece in body.chunks(size) {
                    frames.add(piece).unwrap();
                    came.extend(all(&mut frames));
                }
                let expected = [(0x80, vec![]), (0, b"abc".to_vec())];
                let came = if is_text { came } else { came.split_off(1) };
                assert_eq!(came, expected, "{size}");
            }
        }
    }

    #[test]
    fn hostile_bodies_are_refused() {
        fn check(is_text: bool, body: &[u8], expected: &str) {
            let mut frames = Frames::new(is_text);
            let fault = frames.add(body).and_then(|()| frames.next()).unwrap_err().to_string();
            assert!(fault.contains(expected), "{fault}");
        }
        check(false, b"\0\xff\xff\xff\xff", "a frame of 4294967295 bytes");
        check(true, b"AP////8=", "a frame of 4294967295 bytes");
        check(true, b"!!!!", "base64");
        check(true, b"A===", "base64");
    }
}
