//! Compression of messages, each side by itself.

use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use http::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write as _};

/// Smaller messages are sent as they are: most would grow, and the time is lost on both sides.
const COMPRESSED_BYTES_MIN: usize = 1024;
/// What can be undone here, as it is told to whoever sends.
pub const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, zstd, br");
/// Brotli 5 is about as fast as gzip 6, and smaller.
const BROTLI_QUALITY: i32 = 5;
const BROTLI_BUFFER_BYTES: usize = 4 << 10;
/// 8 MiB, which every decoder should take (RFC 8878 section 3.1.1.1.2); a message may claim a window of gigabytes.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// How a message is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Br,
}

/// A message that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodingFault {
    /// It is larger than it may be.
    #[error("the message is larger than it may be")]
    TooLarge,
    /// It was not compressed in this way.
    #[error("the message cannot be decompressed")]
    Broken,
}

impl Encoding {
    /// The encoding of this name, as it stands in headers. It has no case (RFC 9110 section 8.4.1).
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let all = [Self::Identity, Self::Gzip, Self::Zstd, Self::Br];
        all.into_iter().find(|encoding| encoding.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Its name in headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Br => "br",
        }
    }

    /// A message compressed, where it is worth it: of some size, and smaller for it.
    #[must_use]
    pub fn shrink(self, message: &[u8]) -> Option<Bytes> {
        if self == Self::Identity || message.len() < COMPRESSED_BYTES_MIN {
            return None;
        }
        self.compress(message).ok().filter(|compressed| compressed.len() < message.len())
    }

    /// Compresses a message.
    ///
    /// # Errors
    /// Where the library fails, which it does for want of memory.
    pub fn compress(self, message: &[u8]) -> io::Result<Bytes> {
        let compressed = match self {
            Self::Identity => message.to_vec(),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 2), Compression::fast());
                encoder.write_all(message)?;
                encoder.finish()?
            }
            Self::Zstd => zstd::bulk::compress(message, ZSTD_LEVEL)?,
            Self::Br => {
                let options = BrotliEncoderParams { quality: BROTLI_QUALITY, ..BrotliEncoderParams::default() };
                let mut compressed = Vec::with_capacity(message.len() / 2);
                brotli::BrotliCompress(&mut &*message, &mut compressed, &options)?;
                compressed
            }
        };
        Ok(compressed.into())
    }

    /// Decompresses a message, up to `bytes_max` bytes: a bomb costs no more than that.
    ///
    /// gzip has members (RFC 1952 section 2.2) and zstd frames (RFC 8878 section 3.1), one behind another: all of them
    /// are the message, together within the limit. Brotli has one stream alone. Whatever else follows is refused.
    ///
    /// # Errors
    /// Where the message is larger, or broken.
    pub fn decompress(self, message: &Bytes, bytes_max: usize) -> Result<Bytes, EncodingFault> {
        match self {
            Self::Identity if message.len() > bytes_max => Err(EncodingFault::TooLarge),
            Self::Identity => Ok(message.clone()),
            // Nothing, compressed, is nothing to some clients.
            _ if message.is_empty() => Ok(Bytes::new()),
            Self::Gzip => bounded(&mut MultiGzDecoder::new(&message[..]), bytes_max),
            Self::Zstd => {
                let broken = |_| EncodingFault::Broken;
                let mut decoder = zstd::stream::read::Decoder::with_buffer(&message[..]).map_err(broken)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
                bounded(&mut decoder, bytes_max)
            }
            Self::Br => {
                let mut decoder = brotli::Decompressor::new(&message[..], BROTLI_BUFFER_BYTES);
                let decompressed = bounded(&mut decoder, bytes_max)?;
                // What is left in the decoder's buffer it tells when it is read once more than to its end.
                let has_more = decoder.read(&mut [0]).is_err() || !decoder.get_ref().is_empty();
                if has_more { Err(EncodingFault::Broken) } else { Ok(decompressed) }
            }
        }
    }
}

fn bounded(decoder: &mut impl Read, bytes_max: usize) -> Result<Bytes, EncodingFault> {
    let mut message = Vec::new();
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(most).read_to_end(&mut message).map_err(|_| EncodingFault::Broken)?;
    if message.len() > bytes_max {
        return Err(EncodingFault::TooLarge);
    }
    // It has grown by doubling, and is kept for as long as the peer does not take it.
    message.shrink_to_fit();
    Ok(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 4] = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Br];

    #[test]
    fn what_was_compressed_comes_back_within_its_limit() {
        for encoding in ALL {
            for message in [Bytes::new(), Bytes::from_static(b"a"), vec![b'a'; 100_000].into()] {
                let compressed = encoding.compress(&message).unwrap();
                assert_eq!(encoding.decompress(&compressed, message.len()).as_ref(), Ok(&message), "{encoding:?}");
                if !message.is_empty() {
                    let too_little = encoding.decompress(&compressed, message.len() - 1);
                    assert_eq!(too_little, Err(EncodingFault::TooLarge), "{encoding:?}");
                    assert!(encoding == Encoding::Identity || message.len() < 9 || compressed.len() < 1000);
                }
            }
        }
    }

    #[test]
    fn what_is_cut_or_was_never_compressed_is_broken() {
        for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Br] {
            let compressed = encoding.compress(&[7; 5000]).unwrap();
            let cut = compressed.slice(..compressed.len() - 2);
            assert_eq!(encoding.decompress(&cut, 10_000), Err(EncodingFault::Broken), "{encoding:?}");
            let never = Bytes::from_static(b"\xffnot compressed in any way");
            assert_eq!(encoding.decompress(&never, 10_000), Err(EncodingFault::Broken), "{encoding:?}");
        }
    }

    fn joined(pieces: &[&[u8]]) -> Bytes {
        pieces.concat().into()
    }

    #[test]
    fn every_member_of_a_message_counts_and_nothing_else_may_follow() {
        let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
        for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Br] {
            // More than a decoder reads at once.
            let noise: Vec<u8> =
                (0..20_000_u32).flat_map(|number| (number.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
            for first in [&b"first"[..], &noise, b""] {
                let (one, two) = (encoding.compress(first).unwrap(), encoding.compress(b"second").unwrap());
                let both = [first, b"second"].concat();
                let has_members = encoding != Encoding::Br;
                let whole = if has_members { Ok(Bytes::from(both.clone())) } else { Err(EncodingFault::Broken) };
                let say = |what: &str| format!("{encoding:?}, {} bytes, {what}", first.len());
                assert_eq!(encoding.decompress(&joined(&[&one, &two]), both.len()), whole, "{}", say("two"));
                if has_members {
                    let too_little = encoding.decompress(&joined(&[&one, &two]), both.len() - 1);
                    assert_eq!(too_little, Err(EncodingFault::TooLarge), "{}", say("over the limit together"));
                }
                for behind in
                    [&b"\0"[..], b"\0\0\0\0", b"x", b"garbage that is longer", &two[..two.len() - 1], &two[..3]]
                {
                    let found = encoding.decompress(&joined(&[&one, behind]), 1 << 20);
                    assert_eq!(found, Err(EncodingFault::Broken), "{} {behind:?}", say("behind"));
                }
                let skipped = encoding.decompress(&joined(&[skippable, &one, skippable]), first.len());
                let expected = if encoding == Encoding::Zstd {
                    Ok(Bytes::copy_from_slice(first))
                } else {
                    Err(EncodingFault::Broken)
                };
                assert_eq!(skipped, expected, "{}", say("skippable"));
            }
        }
    }
}
