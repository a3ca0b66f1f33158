#!/usr/bin/env python3
"""Holds every vector of proto/vectors against this implementation, and the files against what generates them."""

import json
import sys

from ed25519 import faults
from generate import FOLDER, documents
from inputs import signing_input


def wrong(vector):
    """What does not hold about a vector, or nothing."""
    fields = dict(vector["fields"])
    fields["timestamp_ms"] = int(fields["timestamp_ms"])
    fields["payload_hash"] = bytes.fromhex(fields["payload_hash"])
    message = signing_input(vector["kind"], fields, vector["marker"])
    if message.hex() != vector["input"]:
        return f"the input is {message.hex()}"
    found = faults(bytes.fromhex(vector["public_key"]), message, bytes.fromhex(vector["signature"]))
    if sorted(found) != vector["faults"]:
        return f"the faults are {sorted(found)} and not {vector['faults']}"
    if vector["valid"] != (not found):
        return f"valid is {vector['valid']}"
    return None


def main():
    failed = []
    names = set()
    expected = dict(documents())
    if found := {path.name for path in FOLDER.glob("*.json")} ^ expected.keys():
        failed.append(f"{sorted(found)}: on one side only, in {FOLDER} or in generate.py")
    for file, text in expected.items():
        path = FOLDER / file
        if not path.exists() or path.read_text() != text:
            failed.append(f"{file}: not what generate.py writes")
    for path in sorted(FOLDER.glob("*.json")):
        for vector in json.loads(path.read_text())["vectors"]:
            problem = "another vector has this name" if vector["name"] in names else wrong(vector)
            names.add(vector["name"])
            if problem:
                failed.append(f"{path.name}: {vector['name']}: {problem}")
    print("\n".join([f"FAIL  {problem}" for problem in failed] + [f"{len(names)} vectors, {len(failed)} failed"]))
    sys.exit(bool(failed) or not names)


if __name__ == "__main__":
    main()
