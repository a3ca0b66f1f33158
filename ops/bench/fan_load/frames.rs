//! What devices look for in what they read, and the frames of WebSocket as far as a client that trusts its server has to
//! know them (RFC 6455 section 5.2).

/// What the id of every event begins with; eight digits follow.
pub(crate) const MARK: &str = "evt-";
const DIGITS: usize = 8;
const MARK_BYTES: usize = MARK.len() + DIGITS;

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The id of an event.
pub(crate) fn id(number: usize) -> String {
    format!("{MARK}{number:0DIGITS$}")
}

/// The numbers of the events in these bytes.
pub(crate) fn numbers(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    bytes.windows(MARK_BYTES).filter_map(|window| {
        let digits = window.strip_prefix(MARK.as_bytes())?;
        digits
            .iter()
            .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0')))
    })
}

/// Finds events in a stream, wherever it is cut into reads.
#[derive(Default)]
pub(crate) struct Scanner {
    /// Too short to hold an event's id, so none is found twice.
    tail: Vec<u8>,
}

impl Scanner {
    pub(crate) fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(usize)) {
        let is_joined = !self.tail.is_empty();
        let whole;
        let bytes = if is_joined {
            whole = [&self.tail, bytes].concat();
            &whole
        } else {
            bytes
        };
        numbers(bytes).for_each(&mut found);
        let kept = bytes.len().saturating_sub(MARK_BYTES - 1);
        // Most reads end with an event, after whose last line nothing begins.
        let rest = bytes.get(kept..).unwrap_or_default();
        self.tail = if rest.contains(&b'e') { rest.to_vec() } else { Vec::new() };
    }
}

/// Cuts what is read into frames.
#[derive(Default)]
pub(crate) struct Frames {
    partial: Vec<u8>,
}

impl Frames {
    /// Hands over the opcode and the payload of each frame that is whole.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(u8, &[u8])) {
        let joined;
        let mut rest = if self.partial.is_empty() {
            bytes
        } else {
            self.partial.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.partial);
            &joined
        };
        while let Some((opcode, payload, after)) = split(rest) {
            each(opcode, payload);
            rest = after;
        }
        if !rest.is_empty() {
            self.partial = rest.to_vec();
        }
    }
}

/// The first frame, which is not masked, and what follows it.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    let [flags, length] = *head;
    let (length, rest) = match length & 0x7f {
        126 => rest.split_first_chunk::<2>().map(|(length, rest)| (u64::from(u16::from_be_bytes(*length)), rest))?,
        127 => rest.split_first_chunk::<8>().map(|(length, rest)| (u64::from_be_bytes(*length), rest))?,
        length => (u64::from(length), rest),
    };
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((flags & 0x0f, payload, rest))
}

/// A whole message or control frame of a client. The mask is zero: it guards proxies, of which there is none here.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
