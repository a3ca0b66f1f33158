"""grpcio, connectrpc and clients that only subscribe against a gateway: what is accepted, and how each refusal reads to
a Python client. Run by `run`."""

import base64
import contextlib
import itertools
import json
import os
import sys
import time
import traceback

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.rpc.error_details_pb2 import RetryInfo

import signing
from clients import Refusal, clients, unpacked
from edge.v1.gateway_pb2 import ExecuteCommandRequest, SubscribeEventsRequest, SubscribeOptions
from subscribers import subscribers

CLOCK_SECONDS = 10
# The default, which gateway.yaml leaves as it is.
LISTENER_BODY_BYTES = 1 << 20
# The gateway compresses no answer under 1 KiB.
LONG_NAME = "Grüße " * 500
BUDGET = int(os.environ["SESSION_BUDGET"])
DEVICE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
GATEWAY_KEY = Ed25519PublicKey.from_public_bytes(base64.b64decode(os.environ["GATEWAY_PUBLIC_KEY"]))

numbers = itertools.count(1)


def command(message_type="user.account.get", payload=b"", kind=ExecuteCommandRequest, key=DEVICE_KEY, **fields):
    """A signed command of now, in a session of its own unless `fields` name one."""
    number = next(numbers)
    envelope = {
        "protocol_version": "v1",
        "device_session_id": f"session-{number}",
        "message_type": message_type,
        "timestamp_ms": time.time_ns() // 1_000_000,
        "request_id": f"request-{number}",
        "payload_bytes": payload,
    }
    return signing.sign(kind(**envelope | fields), key)


def execute(client, request):
    """The verified answer to an accepted command, and the metadata that came with it."""
    answer, metadata = client.execute(request)
    signing.verify(answer, request, GATEWAY_KEY)
    assert answer.key_id == "suite", f"key_id is {answer.key_id!r}"
    return answer, metadata


def refused(call, request, code, reason):
    """The refusal that `call` must come to."""
    try:
        answer = call(request)
    except Refusal as refusal:
        told = (refusal.code, refusal.reason)
        assert told == (code, reason), f"refused with {told}"
        return refusal
    raise AssertionError(f"not refused: {answer}")


def vector_1():
    request = signing.sign(
        ExecuteCommandRequest(
            protocol_version="v1",
            device_session_id="session-1",
            message_type="user.account.get",
            timestamp_ms=1700000000000,
            request_id="req-1",
        ),
        DEVICE_KEY,
    )
    assert signing.request_input(request).hex() == (
        "0f656467652d726571756573742d76310276310973657373696f6e2d3110757365722e6163636f756e742e676574"
        "0000018bcfe56800057265712d3120e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert request.signature.hex() == (
        "0f348dbd30dae3f4d37e1920d960582dcbacf5eebbd6284752169b9bd4963588"
        "c51225e95b3a8f6f21de6a3b4e73f23c4129b46d560fef697e092f20c42e7d0f"
    )
    assert DEVICE_KEY.public_key().public_bytes_raw().hex() == (
        "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    )


def accepted(client):
    request = command()
    answer, _ = execute(client, request)
    assert answer.result_code == "ok", answer.result_code
    account = {"user_id": f"user-of-{request.device_session_id}", "name": "Ada"}
    assert json.loads(answer.payload_bytes) == account, answer.payload_bytes
    assert abs(answer.timestamp_ms - request.timestamp_ms) < CLOCK_SECONDS * 1000, "the clocks differ"


def payload_arrives(client):
    payload = json.dumps({"name": LONG_NAME}, ensure_ascii=False).encode()
    answer, _ = execute(client, command("user.account.rename", payload))
    assert json.loads(answer.payload_bytes)["name"] == LONG_NAME, answer.payload_bytes


def backend_error_is_signed(client):
    answer, _ = execute(client, command("user.account.rename", b'{"name":""}'))
    assert answer.result_code == "name.invalid", answer.result_code


def changed_answer_is_noticed(client):
    request = command()
    answer, _ = execute(client, request)
    answer.result_code = "name.invalid"
    try:
        signing.verify(answer, request, GATEWAY_KEY)
    except InvalidSignature:
        return
    raise AssertionError("a changed answer was taken for the gateway's")


def replayed(client):
    request = command()
    execute(client, request)
    refused(client.execute, request, "ALREADY_EXISTS", "REQUEST_REPLAYED")


def forged(client):
    request = command()
    stranger = command(key=Ed25519PrivateKey.generate(), device_session_id=request.device_session_id,
                       request_id=request.request_id)
    refused(client.execute, stranger, "UNAUTHENTICATED", "SIGNATURE_INVALID")
    # The stranger has not used up the device's request_id.
    execute(client, request)


def budget_exhausted(client):
    session = command().device_session_id
    for left in reversed(range(BUDGET)):
        _, metadata = execute(client, command(device_session_id=session))
        limits = metadata["x-ratelimit-limit"], metadata["x-ratelimit-remaining"]
        assert limits == (str(BUDGET), str(left)), f"limit and remaining are {limits}"
    refusal = refused(client.execute, command(device_session_id=session), "RESOURCE_EXHAUSTED", "BUDGET_EXHAUSTED")
    delay = unpacked(refusal.details, RetryInfo).retry_delay.seconds
    assert 0 < delay <= 3600, f"retry_delay is {delay} s"
    metadata = refusal.metadata
    assert metadata["retry-after"] == str(delay), metadata
    limits = metadata["x-ratelimit-limit"], metadata["x-ratelimit-remaining"]
    assert limits == (str(BUDGET), "0"), f"limit and remaining are {limits}"
    assert 0 < int(metadata["x-ratelimit-reset"]) <= 3600, metadata


def too_large(client):
    request = command("user.account.rename", bytes(LISTENER_BODY_BYTES))
    refused(client.execute, request, "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")
    execute(client, command())


def method_unknown(client):
    refused(client.misdirect, command(), "UNIMPLEMENTED", "ROUTE_UNKNOWN")


def subscription(payload=b"", **fields):
    return command("gateway.subscribe", payload, SubscribeEventsRequest, **fields)


@contextlib.contextmanager
def subscribed(client, session, resume_after="", resumed=True):
    """The verified events of an accepted subscription, but for the first, which is held to what opened it."""
    request = subscription(SubscribeOptions(resume_after=resume_after).SerializeToString(), device_session_id=session)
    with contextlib.closing(client.subscribe(request)) as events:
        genuine = (verified(event) for event in events)
        first = next(genuine)
        told = first.event_type, first.request_id, first.subject
        assert told == ("gateway.server_time", request.request_id, f"user-of-{session}"), told
        payload = json.loads(first.payload_bytes)
        assert (payload["request_id"], payload["resumed"]) == (request.request_id, resumed), payload
        assert abs(payload["server_time_ms"] - request.timestamp_ms) < CLOCK_SECONDS * 1000, "the clocks differ"
        yield genuine


def verified(event):
    signing.verify_event(event, GATEWAY_KEY)
    assert (event.protocol_version, event.key_id) == ("v1", "suite"), event
    return event


def rename(client, session, name):
    request = command("user.account.rename", json.dumps({"name": name}).encode(), device_session_id=session)
    execute(client, request)
    return request


def event_arrives(client):
    session = command().device_session_id
    with subscribed(client, session) as events:
        # Of another user.
        rename(client, command().device_session_id, "Bob")
        request = rename(client, session, LONG_NAME)
        event = next(events)
    told = event.event_type, event.subject, event.request_id, json.loads(event.payload_bytes)
    assert told == ("user.account.renamed", f"user-of-{session}", request.request_id, {"name": LONG_NAME}), told
    event.position += "0"
    try:
        signing.verify_event(event, GATEWAY_KEY)
    except InvalidSignature:
        return
    raise AssertionError("a changed event was taken for the gateway's")


def stream_resumes(client):
    session = command().device_session_id
    with subscribed(client, session) as events:
        rename(client, session, "Ada")
        position = next(events).position
    missed = rename(client, session, "Countess")
    with subscribed(client, session, resume_after=position) as events:
        event = next(events)
        assert event.request_id == missed.request_id, event
    with subscribed(client, command().device_session_id, resume_after="of-long-ago", resumed=False):
        pass


def revocation_ends_stream(client):
    session = command().device_session_id
    with subscribed(client, session) as events:
        execute(client, command("user.session.revoke", json.dumps({"device_session_id": session}).encode()))
        refused(list, events, "FAILED_PRECONDITION", "SESSION_REVOKED")
    refused(client.execute, command(device_session_id=session), "FAILED_PRECONDITION", "SESSION_REVOKED")


def subscription_is_checked(client):
    def subscribe(request):
        return list(client.subscribe(request))

    refused(subscribe, subscription(key=Ed25519PrivateKey.generate()), "UNAUTHENTICATED", "SIGNATURE_INVALID")
    refused(subscribe, command(kind=SubscribeEventsRequest), "UNIMPLEMENTED", "MESSAGE_TYPE_UNKNOWN")


OF_COMMANDS = [accepted, payload_arrives, backend_error_is_signed, changed_answer_is_noticed, replayed, forged,
               budget_exhausted, too_large, method_unknown]
OF_STREAMS = [event_arrives, stream_resumes, revocation_ends_stream, subscription_is_checked]


def passes(name, check, *arguments):
    try:
        check(*arguments)
        print(f"ok    {name}")
        return True
    except Exception:
        print(f"FAIL  {name}\n{traceback.format_exc()}")
        return False


def main():
    outcomes = [passes("vector 1", vector_1)]
    edge = os.environ["EDGE"]
    rpc_clients = list(clients(edge))
    held_to = [(client, OF_COMMANDS + OF_STREAMS) for client in rpc_clients]
    held_to += [(subscriber, OF_STREAMS) for subscriber in subscribers(edge, rpc_clients[0])]
    for client, checks in held_to:
        outcomes += [passes(f"{client.name}: {check.__name__.replace('_', ' ')}", check, client) for check in checks]
    print(f"{outcomes.count(True)} passed, {outcomes.count(False)} failed")
    sys.exit(not all(outcomes))


main()
