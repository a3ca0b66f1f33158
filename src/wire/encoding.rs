//! Compression of messages, each side by itself.

use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
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

    /// The first of a list like `gzip;q=0.5, br` that is known here and not forbidden; identity where none is. A
    /// client that cares names its favourite first, so weights only tell what it cannot take.
    #[must_use]
    pub fn first_of(list: &[u8]) -> Self {
        let known = |item: &[u8]| {
            let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let encoding = Self::from_name(parts.next()?)?;
            let is_forbidden = parts.any(|part| {
                let weight = part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q="));
                weight.is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
            });
            (!is_forbidden).then_some(encoding)
        };
        list.split(|byte| *byte == b',').find_map(|item| known(item.trim_ascii())).unwrap_or_default()
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

    /// Undoes it, up to `bytes_max` bytes: a bomb costs no more than that.
    ///
    /// # Errors
    /// Where the message is larger, or broken.
    pub fn decompress(self, message: &Bytes, bytes_max: usize) -> Result<Bytes, EncodingFault> {
        match self {
            Self::Identity if message.len() > bytes_max => Err(EncodingFault::TooLarge),
            Self::Identity => Ok(message.clone()),
            // Nothing, compressed, is nothing to some clients.
            _ if message.is_empty() => Ok(Bytes::new()),
            Self::Gzip => bounded(GzDecoder::new(&message[..]), bytes_max),
            Self::Zstd => {
                let broken = |_| EncodingFault::Broken;
                let mut decoder = zstd::stream::read::Decoder::with_buffer(&message[..]).map_err(broken)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
                bounded(decoder, bytes_max)
            }
            Self::Br => bounded(brotli::Decompressor::new(&message[..], BROTLI_BUFFER_BYTES), bytes_max),
        }
    }
}

fn bounded(decoder: impl Read, bytes_max: usize) -> Result<Bytes, EncodingFault> {
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

    #[test]
    fn the_first_that_is_known_and_not_forbidden() {
        for (list, expected) in [
            ("", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("deflate, BR, gzip", Encoding::Br),
            ("gzip;q=0, zstd ;q=0.1", Encoding::Zstd),
            ("gzip;q=0.0,identity", Encoding::Identity),
            ("identity, gzip", Encoding::Identity),
            ("*", Encoding::Identity),
        ] {
            assert_eq!(Encoding::first_of(list.as_bytes()), expected, "{list}");
        }
    }
}
