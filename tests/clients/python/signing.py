"""What is signed and how it is verified, as section 2 of the wire contract has it."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

REQUEST, RESPONSE, EVENT = "edge-request-v1", "edge-response-v1", "edge-event-v1"


def signing_input(marker, *fields):
    """The marker and the fields in their order: an int as 8 bytes, everything else with its length ahead."""
    return b"".join(encoded(field) for field in (marker, *fields))


def encoded(field):
    if isinstance(field, int):
        return field.to_bytes(8, "big", signed=True)
    data = field.encode() if isinstance(field, str) else field
    return varint(len(data)) + data


def varint(number):
    """Unsigned LEB128 in its shortest form."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def request_input(request):
    return signing_input(
        REQUEST,
        request.protocol_version,
        request.device_session_id,
        request.message_type,
        request.timestamp_ms,
        request.request_id,
        request.payload_hash,
    )


def sign(request, key: Ed25519PrivateKey):
    """Fills in the payload's hash and the signature."""
    request.payload_hash = hashlib.sha256(request.payload_bytes).digest()
    request.signature = key.sign(request_input(request))
    return request


def verify(answer, request, key: Ed25519PublicKey):
    """Raises unless this is the gateway's signed answer to this very request."""
    if (answer.protocol_version, answer.request_id) != (request.protocol_version, request.request_id):
        raise ValueError("the answer is to another request")
    if answer.payload_hash != hashlib.sha256(answer.payload_bytes).digest():
        raise ValueError("the payload is not the one that was hashed")
    # The session is the request's own: an answer for another device cannot be passed off as this one's.
    signed = signing_input(
        RESPONSE,
        answer.protocol_version,
        request.device_session_id,
        answer.request_id,
        answer.timestamp_ms,
        answer.result_code,
        answer.payload_hash,
    )
    key.verify(answer.signature, signed)


def verify_event(event, key: Ed25519PublicKey):
    """Raises unless this is an event of the gateway's. Whom it is for is not looked at."""
    if event.payload_hash != hashlib.sha256(event.payload_bytes).digest():
        raise ValueError("the payload is not the one that was hashed")
    signed = signing_input(
        EVENT,
        event.protocol_version,
        event.event_id,
        event.event_type,
        event.timestamp_ms,
        event.request_id,
        event.subject,
        event.position,
        event.payload_hash,
    )
    key.verify(event.signature, signed)
