#!/usr/bin/env python3
"""Signs in, sends signed commands over Connect in JSON, and verifies the answers: `client.py [PUBLIC EDGE]`, two URLs.

Needs `cryptography`. The wire is described in proto/WIRE.md."""

import base64
import hashlib
import json
import sys
import time
import urllib.error
import urllib.request
import uuid

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PUBLIC, EDGE = sys.argv[1:3] if len(sys.argv) > 2 else ("http://127.0.0.1:8080", "http://127.0.0.1:9090")


def b64(data):
    return base64.b64encode(data).decode()


def call(url, document=None):
    request = urllib.request.Request(url, document and json.dumps(document).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def signing_input(*fields):
    """Concatenates the fields: an int as 8 bytes, big-endian; all else with its length ahead, as an unsigned LEB128."""
    out = bytearray()
    for field in fields:
        if isinstance(field, int):
            out += field.to_bytes(8, "big")
            continue
        data = field.encode() if isinstance(field, str) else field
        length = len(data)
        while length > 0x7F:
            out.append(length & 0x7F | 0x80)
            length >>= 7
        out.append(length)
        out += data
    return bytes(out)


def execute(message_type, payload=None):
    """Returns the result code and the payload of a verified answer. Raises RuntimeError for a refusal."""
    body = json.dumps(payload).encode() if payload is not None else b""
    digest, at, request_id = hashlib.sha256(body).digest(), int(time.time() * 1000), str(uuid.uuid4())
    signed = signing_input("edge-request-v1", "v1", session, message_type, at, request_id, digest)
    try:
        answer = call(f"{EDGE}/edge.v1.Gateway/ExecuteCommand", {
            "protocolVersion": "v1", "deviceSessionId": session, "messageType": message_type, "timestampMs": str(at),
            "requestId": request_id, "payloadBytes": b64(body), "payloadHash": b64(digest), "signature": b64(key.sign(signed)),
        })
    except urllib.error.HTTPError as refusal:
        error = json.load(refusal)
        reason = next((detail["debug"]["reason"] for detail in error.get("details", []) if "reason" in detail.get("debug", {})), None)
        raise RuntimeError(f"{error['code']} {reason}: {error.get('message')}") from None
    result = base64.b64decode(answer.get("payloadBytes", ""))
    digest = hashlib.sha256(result).digest()
    # Session and request are this client's own: an answer to another device or command does not verify.
    gateway_keys[answer["keyId"]].verify(base64.b64decode(answer["signature"]), signing_input(
        "edge-response-v1", "v1", session, request_id, int(answer["timestampMs"]), answer["resultCode"], digest))
    return answer["resultCode"], json.loads(result or "null")


key = Ed25519PrivateKey.generate()  # A real device makes it once, and keeps it in its keystore.
jwks = call(f"{PUBLIC}/.well-known/jwks.json")["keys"]
gateway_keys = {jwk["kid"]: Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "==")) for jwk in jwks}
session = call(f"{PUBLIC}/api/v1/public/sign-in", {"public_key": b64(key.public_key().public_bytes_raw())})["device_session_id"]
print(execute("account.rename", {"name": "Ada"}))
print(execute("account.get"))
print(execute("account.rename", {"name": ""}))
print(execute("game.report", {"game_id": "a/b"}))
try:
    execute("no.such.command")
except RuntimeError as refused:
    print(refused)
