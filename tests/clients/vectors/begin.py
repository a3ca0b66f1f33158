"""What every vector begins from: one key, one set of fields of each kind."""

import hashlib

from ed25519 import private, sign
from inputs import FIELDS, MARKERS, as_bytes, in_order, signing_input

SEED = bytes(range(32))
PUBLIC_KEY = private(SEED)[2]
KINDS = list(FIELDS)


def sha256(data):
    return hashlib.sha256(data).digest()


def usual(kind, **changed):
    """The fields of a kind, with those that are given in place of the usual ones."""
    fields = {
        "request": {
            "protocol_version": "v1", "device_session_id": "session-1", "message_type": "user.account.rename",
            "timestamp_ms": 1700000000000, "request_id": "req-1", "payload_hash": sha256(b'{"name":"Ada"}'),
        },
        "response": {
            "protocol_version": "v1", "device_session_id": "session-1", "request_id": "req-1",
            "timestamp_ms": 1700000000123, "result_code": "ok", "payload_hash": sha256(b'{"renamed":true}'),
        },
        "event": {
            "protocol_version": "v1", "event_id": "event-1", "event_type": "user.renamed",
            "timestamp_ms": 1700000000456, "request_id": "req-1", "subject": "user-1", "position": "cursor-1",
            "payload_hash": sha256(b'{"name":"Ada"}'),
        },
    }[kind]
    assert changed.keys() <= fields.keys(), changed
    return fields | changed


def texts(kind):
    """The names of the fields that are strings."""
    return [name for name, value in usual(kind).items() if isinstance(value, str)]


def vector(name, kind, fields=None, marker=None, public_key=PUBLIC_KEY, signature=None, faults=()):
    """A vector as it stands in the file; signed with the usual key where no signature is given."""
    fields = usual(kind) if fields is None else fields
    marker = MARKERS[kind] if marker is None else marker
    message = signing_input(kind, fields, marker)
    return {
        "name": f"{kind}: {name}",
        "kind": kind,
        "marker": marker,
        "fields": {field: shown(value) for field, value in zip(FIELDS[kind], in_order(kind, fields))},
        "input": message.hex(),
        "public_key": public_key.hex(),
        "signature": (sign(SEED, message) if signature is None else signature).hex(),
        "valid": not faults,
        "faults": sorted(faults),
    }


def shown(value):
    """An int64 as a string, as in protobuf's JSON: many readers of JSON would round it. Bytes in hex."""
    return str(value) if isinstance(value, int) else value.hex() if isinstance(value, bytes) else value


def unencoded(kind, fields, marker):
    """What the input would be, were the fields only put one behind the other."""
    return b"".join(as_bytes(shown(value)) for value in [marker, *in_order(kind, fields)])
