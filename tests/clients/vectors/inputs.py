"""The signing inputs of the wire contract, section 2: a marker, then the fields in their order."""

FIELDS = {
    "request": ["protocol_version", "device_session_id", "message_type", "timestamp_ms", "request_id", "payload_hash"],
    "response": ["protocol_version", "device_session_id", "request_id", "timestamp_ms", "result_code", "payload_hash"],
    "event": ["protocol_version", "event_id", "event_type", "timestamp_ms", "request_id", "subject", "position",
              "payload_hash"],
}
MARKERS = {"request": "edge-request-v1", "response": "edge-response-v1", "event": "edge-event-v1"}


def signing_input(kind, fields, marker):
    """The bytes that are signed."""
    return b"".join(encoded(value) for value in [marker, *in_order(kind, fields)])


def in_order(kind, fields):
    assert fields.keys() == set(FIELDS[kind]), f"a {kind} has {FIELDS[kind]} and not {list(fields)}"
    return [fields[name] for name in FIELDS[kind]]


def encoded(value):
    """An int64 as 8 bytes, big-endian; everything else with its length in bytes ahead."""
    if isinstance(value, int):
        return value.to_bytes(8, "big", signed=True)
    data = as_bytes(value)
    return varint(len(data)) + data


def as_bytes(value):
    return value.encode() if isinstance(value, str) else value


def varint(number):
    """Unsigned LEB128 in its shortest form."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
