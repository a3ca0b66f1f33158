"""Genuine signatures of something else: of other fields, of another kind, of another encoding.

Every one breaks the equation and nothing else.
"""

import hashlib

from begin import KINDS, PUBLIC_KEY, SEED, sha256, texts, unencoded, usual, vector
from ed25519 import BASE, L, encode, multiply, private, scalar_bytes, sign
from inputs import MARKERS, as_bytes, encoded, in_order, signing_input, varint


def vectors():
    for kind in KINDS:
        yield from fields_altered(kind)
        yield from fields_shifted(kind)
        yield from markers_swapped(kind)
        yield from encoded_otherwise(kind)
        yield from signed_otherwise(kind)


def of(name, kind, signed, fields=None, **how):
    """A vector whose signature is one of the bytes `signed`, which are not its input."""
    made = vector(name, kind, fields, signature=sign(SEED, signed), faults=["equation"], **how)
    assert made["input"] != signed.hex(), f"{name} is no change"
    return made


def usual_input(kind):
    return signing_input(kind, usual(kind), MARKERS[kind])


def fields_altered(kind):
    for name, value in usual(kind).items():
        for what, changed in alterations(value).items():
            yield of(f"{name} {what} after signing", kind, usual_input(kind), usual(kind, **{name: changed}))


def alterations(value):
    if isinstance(value, int):
        return {"a millisecond later": value + 1, "negated": -value, "truncated to 32 bits": value % 2**32,
                "of the other byte order": int.from_bytes(value.to_bytes(8, "little"), "big", signed=True)}
    if isinstance(value, bytes):
        return {"with its first bit flipped": bytes([value[0] ^ 0x80]) + value[1:],
                "with its last bit flipped": value[:-1] + bytes([value[-1] ^ 1]), "reversed": value[::-1]}
    return {"with a character more": value + "1", "with a character less": value[:-1], "in upper case": value.upper(),
            "with a NUL behind": value + "\0"}


def fields_shifted(kind):
    """What only the lengths tell apart."""
    names = list(usual(kind))
    for left, right in zip(names, names[1:]):
        a, b = usual(kind)[left], usual(kind)[right]
        if not (isinstance(a, str) and isinstance(b, str)):
            continue
        moved = {
            f"the end of {left} moved to the start of {right}": (a[:-1], a[-1] + b),
            f"the start of {right} moved to the end of {left}": (a + b[0], b[1:]),
            f"{right} moved into {left}": (a + b, ""),
        }
        for what, (first, second) in moved.items():
            fields = usual(kind, **{left: first, right: second})
            assert unencoded(kind, fields, "") == unencoded(kind, usual(kind), ""), what
            yield of(f"{what} after signing", kind, usual_input(kind), fields)
        swapped = usual(kind, **{left: b, right: a})
        yield of(f"{left} and {right} swapped after signing", kind, usual_input(kind), swapped)


def markers_swapped(kind):
    for other in KINDS:
        if other != kind:
            signed = signing_input(kind, usual(kind), MARKERS[other])
            yield of(f"the same fields signed under the {other} marker", kind, signed)
            yield of(f"a genuine signature of a {other}", kind, usual_input(other))
    if kind != "event":
        # Requests and responses have fields of the same types: the marker alone tells them apart.
        other = "response" if kind == "request" else "request"
        values = in_order(kind, usual(kind))
        same = usual(other, **dict(zip(usual(other), values)))
        assert signing_input(other, same, "") == signing_input(kind, usual(kind), "")
        yield of(f"a {other} of the very same values", kind, signing_input(other, same, MARKERS[other]))
    marker = MARKERS[kind]
    yield of("signed without a marker", kind, usual_input(kind).removeprefix(encoded(marker)))
    yield of("signed under the marker in upper case", kind, signing_input(kind, usual(kind), marker.upper()))
    later = signing_input(kind, usual(kind), marker[:-1] + "2")
    yield of("signed under the marker of a later version", kind, later)
    first = usual(kind)["protocol_version"]
    shifted = signing_input(kind, usual(kind, protocol_version=marker[-1] + first), marker[:-1])
    yield of("signed with the marker's end in the first field", kind, shifted)


def encoded_otherwise(kind):
    """Encodings that a signer could take for the right one."""
    texts_longer = usual(kind, **{texts(kind)[1]: "é" * 100})
    for what, fields, encode_value in [
        ("lengths in two bytes where one is enough", usual(kind), padded_length),
        ("lengths as 4 bytes, big-endian", usual(kind), lambda v: len(as_bytes(v)).to_bytes(4, "big") + as_bytes(v)),
        ("lengths as 8 bytes, big-endian", usual(kind), lambda v: len(as_bytes(v)).to_bytes(8, "big") + as_bytes(v)),
        ("lengths as one byte each", texts_longer, lambda v: bytes([len(as_bytes(v)) % 256]) + as_bytes(v)),
        ("lengths in characters", texts_longer, lambda v: varint(len(v)) + as_bytes(v)),
        ("texts in UTF-16", usual(kind), lambda v: encoded(v.encode("utf-16-le") if isinstance(v, str) else v)),
        ("a NUL behind each field", usual(kind), lambda v: as_bytes(v) + b"\0"),
        ("the hash in hex", usual(kind), lambda v: encoded(v.hex() if isinstance(v, bytes) else v)),
    ]:
        values = [MARKERS[kind], *in_order(kind, fields)]
        signed = b"".join(encoded(v) if isinstance(v, int) else encode_value(v) for v in values)
        yield of(f"signed with {what}", kind, signed, fields)
    for what, encode_time in [
        ("little-endian", lambda v: v.to_bytes(8, "little", signed=True)),
        ("as decimal text", lambda v: encoded(str(v))),
        ("as a varint", varint),
        ("with a length ahead", lambda v: b"\x08" + v.to_bytes(8, "big", signed=True)),
        ("in seconds", lambda v: encoded(v // 1000)),
    ]:
        values = [MARKERS[kind], *in_order(kind, usual(kind))]
        yield of(f"signed with the time {what}", kind,
                 b"".join(encode_time(v) if isinstance(v, int) else encoded(v) for v in values))
    decomposed, composed = (usual(kind, **{texts(kind)[1]: text}) for text in ("e\u0301", "\u00e9"))
    yield of("signed with a text composed (NFC) that comes decomposed", kind,
             signing_input(kind, composed, MARKERS[kind]), decomposed)
    yield of("signed with nothing but the values", kind, unencoded(kind, usual(kind), MARKERS[kind]))


def padded_length(value):
    data = as_bytes(value)
    assert len(data) < 128
    return bytes([len(data) | 0x80, 0]) + data


def signed_otherwise(kind):
    """Signatures of the right bytes, by another scheme or another key."""
    message = usual_input(kind)
    yield of("signed over the input's SHA-256", kind, sha256(message))
    yield of("signed over the input's SHA-512", kind, hashlib.sha512(message).digest())
    yield of("signed over the input in hex", kind, message.hex().encode())
    yield of("signed over the empty string", kind, b"")
    yield of("signed over half of the input", kind, message[: len(message) // 2])
    yield of("signed over the input and a byte more", kind, message + b"\0")
    # RFC 8032, section 5.1: Ed25519ctx and Ed25519ph hash these bytes ahead of everything else.
    for what, dom2, signed in [
        ("Ed25519ctx with an empty context", b"SigEd25519 no Ed25519 collisions\0\0", message),
        ("Ed25519ph", b"SigEd25519 no Ed25519 collisions\1\0", hashlib.sha512(message).digest()),
    ]:
        yield vector(f"signed with {what}", kind, signature=signed_with_domain(dom2, signed), faults=["equation"])
    other = sha256(b"a stranger's key")
    yield vector("signed by another key", kind, signature=sign(other, message), faults=["equation"])
    yield vector("held against another key", kind, public_key=private(other)[2], signature=sign(SEED, message),
                 faults=["equation"])


def signed_with_domain(dom2, message):
    scalar, prefix, _ = private(SEED)
    nonce = int.from_bytes(hashlib.sha512(dom2 + prefix + message).digest(), "little") % L
    r = encode(multiply(nonce, BASE))
    digest = hashlib.sha512(dom2 + r + PUBLIC_KEY + message).digest()
    return r + scalar_bytes(nonce + int.from_bytes(digest, "little") * scalar)
