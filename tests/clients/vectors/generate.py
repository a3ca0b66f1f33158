#!/usr/bin/env python3
"""Writes proto/vectors/*.json. Deterministic: what it writes is what stands there, or one of the two has changed."""

import json
from pathlib import Path

import altered
import strict
import valid

FOLDER = Path(__file__).resolve().parents[3] / "proto" / "vectors"

# As it stands in the wire contract, section 2: nothing of it is computed here.
CONTRACT = {
    "name": "request: vector 1 of the contract",
    "kind": "request",
    "marker": "edge-request-v1",
    "fields": {
        "protocol_version": "v1",
        "device_session_id": "session-1",
        "message_type": "user.account.get",
        "timestamp_ms": "1700000000000",
        "request_id": "req-1",
        "payload_hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    },
    "input": "0f656467652d726571756573742d76310276310973657373696f6e2d3110757365722e6163636f756e742e676574"
             "0000018bcfe56800057265712d3120e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "public_key": "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",
    "signature": "0f348dbd30dae3f4d37e1920d960582dcbacf5eebbd6284752169b9bd4963588"
                 "c51225e95b3a8f6f21de6a3b4e73f23c4129b46d560fef697e092f20c42e7d0f",
    "valid": True,
    "faults": [],
}


def documents():
    """The name and the text of every file."""
    for name, vectors in [("contract", [CONTRACT]), ("valid", valid.vectors()), ("altered", altered.vectors()),
                          ("strict", strict.vectors())]:
        # Escaped to ASCII, so that no editor normalises what must differ.
        yield f"{name}.json", json.dumps({"vectors": list(vectors)}, indent=1) + "\n"


if __name__ == "__main__":
    for name, text in documents():
        (FOLDER / name).write_text(text)
