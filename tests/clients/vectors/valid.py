"""Signatures that hold, at the edges of what a field can be."""

from begin import KINDS, sha256, texts, usual, vector
from ed25519 import private, sign
from inputs import MARKERS, signing_input

# Each where a length, counted in something else than bytes of UTF-8, would be another.
UNICODE = {
    "of two bytes a character": "Grüße",
    "of three bytes a character": "日本語",
    "of four bytes, a surrogate pair in UTF-16": "🙂",
    "of several code points to what is seen as one": "👩\u200d👩\u200d👧",
    "composed (NFC)": "\u00e9",
    "decomposed (NFD)": "e\u0301",
    "from right to left": "שלום",
    "of the last code point": "\U0010ffff",
    "a byte order mark": "\ufeff",
    "a NUL": "\0",
    "a control character that reads as a length": "\x05req-1",
    "a space at either end": " a ",
}

TIMES = {
    "0": 0, "1": 1, "-1": -1, "127": 127, "128": 128, "255": 255, "256": 256,
    "the greatest int32": 2**31 - 1, "one over the greatest int32": 2**31, "one over the greatest uint32": 2**32,
    "the greatest integer that a double holds exactly": 2**53, "one that a double does not hold": 2**53 + 1,
    "the least int32": -(2**31), "the greatest int64": 2**63 - 1, "the least int64": -(2**63),
}

MARKED = {
    "one character": "m", "127 bytes": "m" * 127, "128 bytes": "m" * 128, "another estate's": "acme/signed/v7",
    "not ASCII": "märker", "the default and a space": "{} ",
}

HASHES = {"of the empty string": sha256(b""), "of zeros": bytes(32), "of ones": b"\xff" * 32}


def vectors():
    for kind in KINDS:
        yield vector("the usual fields", kind)
        yield from of_lengths(kind)
        for index, (what, text) in enumerate(UNICODE.items()):
            field = texts(kind)[index % len(texts(kind))]
            yield vector(f"{field} {what}", kind, usual(kind, **{field: text}))
        for what, time in TIMES.items():
            yield vector(f"timestamp_ms is {what}", kind, usual(kind, timestamp_ms=time))
        for what, digest in HASHES.items():
            yield vector(f"payload_hash {what}", kind, usual(kind, payload_hash=digest))
        for what, marker in MARKED.items():
            yield vector(f"a marker, {what}", kind, marker=marker.format(MARKERS[kind]))
        for seed in (bytes(32), b"\xff" * 32, sha256(b"another key")):
            message = signing_input(kind, usual(kind), MARKERS[kind])
            yield vector(f"the key of the seed {seed.hex()[:8]}…", kind, public_key=private(seed)[2],
                         signature=sign(seed, message))


def of_lengths(kind):
    """A length of 128 takes a second byte, one of 16384 a third."""
    for field in texts(kind):
        for length in (0, 1, 127, 128):
            yield vector(f"{field} of {length} bytes", kind, usual(kind, **{field: "a" * length}))
    yield vector("every text empty", kind, usual(kind, **dict.fromkeys(texts(kind), "")))
    longest = texts(kind)[-1]
    for length in (16383, 16384):
        yield vector(f"{longest} of {length} bytes", kind, usual(kind, **{longest: "a" * length}))
    for text in ("é" * 64, "日" * 43, "🙂" * 32):
        size = len(text.encode())
        yield vector(f"{longest} of {len(text)} characters in {size} bytes", kind, usual(kind, **{longest: text}))
