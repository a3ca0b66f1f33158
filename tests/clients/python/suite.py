"""grpcio against a gateway: what is accepted, and how each refusal reads to a Python client. Run by `run`."""

import base64
import itertools
import json
import os
import sys
import time
import traceback

import grpc
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import signing

# Generated here and now from the .proto files, which `run` puts on the path.
messages, services = grpc.protos_and_services("edge/v1/gateway.proto")

DEADLINE_SECONDS = 10
BUDGET = int(os.environ["SESSION_BUDGET"])
DEVICE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
GATEWAY_KEY = Ed25519PublicKey.from_public_bytes(base64.b64decode(os.environ["GATEWAY_PUBLIC_KEY"]))

numbers = itertools.count(1)


def command(
    message_type="user.account.get", payload=b"", kind=messages.ExecuteCommandRequest, key=DEVICE_KEY, **fields
):
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


def execute(stub, request):
    """The verified answer to an accepted command, and the metadata that came with it."""
    answer, call = stub.ExecuteCommand.with_call(request, timeout=DEADLINE_SECONDS)
    signing.verify(answer, request, GATEWAY_KEY)
    assert answer.key_id == "suite", f"key_id is {answer.key_id!r}"
    return answer, dict(call.initial_metadata()) | dict(call.trailing_metadata())


def refused(action, code, reason=None):
    """The details and the metadata of the refusal that `action` must come to, with any reason where none is named."""
    try:
        answer = action()
    except grpc.RpcError as error:
        # Decodes grpc-status-details-bin, and fails where it contradicts grpc-status or grpc-message.
        details = rpc_status.from_call(error).details
        info = unpacked(details, error_details_pb2.ErrorInfo)
        told = (error.code(), info.reason, info.domain)
        assert told == (code, reason or info.reason, "edge.v1"), f"refused with {told}"
        return details, dict(error.initial_metadata()) | dict(error.trailing_metadata())
    raise AssertionError(f"not refused: {answer}")


def unpacked(details, kind):
    message = kind()
    assert any(detail.Unpack(message) for detail in details), f"no {kind.DESCRIPTOR.full_name} among the details"
    return message


def vector_1(_stub):
    request = signing.sign(
        messages.ExecuteCommandRequest(
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


def accepted(stub):
    request = command()
    answer, _ = execute(stub, request)
    assert answer.result_code == "ok", answer.result_code
    account = {"user_id": f"user-of-{request.device_session_id}", "name": "Ada"}
    assert json.loads(answer.payload_bytes) == account, answer.payload_bytes
    assert abs(answer.timestamp_ms - request.timestamp_ms) < DEADLINE_SECONDS * 1000, "the clocks differ"


def payload_arrives(stub):
    answer, _ = execute(stub, command("user.account.rename", '{"name":"Grüße"}'.encode()))
    assert json.loads(answer.payload_bytes)["name"] == "Grüße", answer.payload_bytes


def backend_error_is_signed(stub):
    answer, _ = execute(stub, command("user.account.rename", b'{"name":""}'))
    assert answer.result_code == "name.invalid", answer.result_code


def changed_answer_is_noticed(stub):
    request = command()
    answer, _ = execute(stub, request)
    answer.result_code = "name.invalid"
    try:
        signing.verify(answer, request, GATEWAY_KEY)
    except InvalidSignature:
        return
    raise AssertionError("a changed answer was taken for the gateway's")


def replayed(stub):
    request = command()
    execute(stub, request)
    refused(lambda: stub.ExecuteCommand(request, timeout=DEADLINE_SECONDS),
            grpc.StatusCode.ALREADY_EXISTS, "REQUEST_REPLAYED")


def forged(stub):
    request = command()
    stranger = command(key=Ed25519PrivateKey.generate(), device_session_id=request.device_session_id,
                       request_id=request.request_id)
    refused(lambda: stub.ExecuteCommand(stranger, timeout=DEADLINE_SECONDS),
            grpc.StatusCode.UNAUTHENTICATED, "SIGNATURE_INVALID")
    # The stranger has not used up the device's request_id.
    execute(stub, request)


def budget_exhausted(stub):
    session = command().device_session_id
    for left in reversed(range(BUDGET)):
        _, metadata = execute(stub, command(device_session_id=session))
        limits = metadata["x-ratelimit-limit"], metadata["x-ratelimit-remaining"]
        assert limits == (str(BUDGET), str(left)), f"limit and remaining are {limits}"
    details, metadata = refused(
        lambda: stub.ExecuteCommand(command(device_session_id=session), timeout=DEADLINE_SECONDS),
        grpc.StatusCode.RESOURCE_EXHAUSTED, "BUDGET_EXHAUSTED")
    delay = unpacked(details, error_details_pb2.RetryInfo).retry_delay.seconds
    assert 0 < delay <= 3600, f"retry_delay is {delay} s"
    assert metadata["retry-after"] == str(delay), metadata
    limits = metadata["x-ratelimit-limit"], metadata["x-ratelimit-remaining"]
    assert limits == (str(BUDGET), "0"), f"limit and remaining are {limits}"
    assert 0 < int(metadata["x-ratelimit-reset"]) <= 3600, metadata


def events_are_unimplemented(stub):
    request = command("gateway.subscribe", kind=messages.SubscribeEventsRequest)
    refused(lambda: list(stub.SubscribeEvents(request, timeout=DEADLINE_SECONDS)), grpc.StatusCode.UNIMPLEMENTED)


CHECKS = [vector_1, accepted, payload_arrives, backend_error_is_signed, changed_answer_is_noticed, replayed, forged,
          budget_exhausted, events_are_unimplemented]


def main():
    failed = 0
    with grpc.insecure_channel(os.environ["EDGE"].removeprefix("http://")) as channel:
        stub = services.GatewayStub(channel)
        for check in CHECKS:
            try:
                check(stub)
                print(f"ok    grpcio: {check.__name__.replace('_', ' ')}")
            except Exception:
                failed += 1
                print(f"FAIL  grpcio: {check.__name__.replace('_', ' ')}\n{traceback.format_exc()}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
