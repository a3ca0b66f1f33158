"""Clients that subscribe over WebSocket and by server-sent events, in the shape of those in clients.py. One of those
sends their commands."""

import json

import grpc
import websockets.sync.client
from google.protobuf import json_format
from pyqwest import HTTPVersion, SyncClient, SyncHTTPTransport
from sseclient import SSEClient
from websockets.exceptions import ConnectionClosed

from clients import DEADLINE_SECONDS, Refusal
from edge.v1.gateway_pb2 import Event, SubscribeEventsRequest

# What is added to the number of a code where a WebSocket is closed with it.
CLOSE_OF_CODE = 4000
CLOSE_CODES = {CLOSE_OF_CODE + code.value[0]: code.name for code in grpc.StatusCode}
# What a status says of the refusals that the suite comes to.
STATUSES = {401: "UNAUTHENTICATED", 404: "UNIMPLEMENTED"}

JSON = json_format.MessageToJson, lambda text: json_format.Parse(text, Event())
PROTO = SubscribeEventsRequest.SerializeToString, Event.FromString


class WebSocket:
    """`websockets`, with the compression that it asks for by default."""

    def __init__(self, name, edge, rpc, codec):
        self.name, self.execute = name, rpc.execute
        self.url = f"{edge.replace('http', 'ws', 1)}/events/ws"
        self.encode, self.decode = codec

    def subscribe(self, request):
        with websockets.sync.client.connect(self.url, proxy=None, open_timeout=DEADLINE_SECONDS) as socket:
            socket.send(self.encode(request))
            while True:
                try:
                    message = socket.recv(DEADLINE_SECONDS)
                except ConnectionClosed as closed:
                    assert closed.rcvd and closed.rcvd_then_sent, "the connection broke"
                    raise Refusal(CLOSE_CODES[closed.rcvd.code], closed.rcvd.reason) from closed
                yield self.decode(message)


class EventSource:
    """`sseclient` on the answer to a POST, which its own requests cannot be."""

    def __init__(self, name, edge, rpc, http_version, media_type, codec):
        self.name, self.execute = name, rpc.execute
        self.url = f"{edge}/events/sse"
        self.http_client = SyncClient(SyncHTTPTransport(http_version=http_version))
        self.headers = {"content-type": media_type, "accept": "text/event-stream"}
        self.encode, _ = codec

    def subscribe(self, request):
        body = self.encode(request)
        body = body.encode() if isinstance(body, str) else body
        with self.http_client.stream("POST", self.url, self.headers, body, timeout=DEADLINE_SECONDS) as answer:
            if answer.status != 200:
                raise self.problem(answer)
            assert answer.headers["content-type"] == "text/event-stream", answer.headers
            messages = SSEClient(map(bytes, answer.content)).events()
            for message in messages:
                if message.event == "end":
                    assert next(messages, None) is None, "something came behind the end"
                    end = json.loads(message.data)
                    raise Refusal(end["code"].upper(), end["reason"])
                event = json_format.Parse(message.data, Event())
                # The first event has none where what was missed follows it: a client that is cut off between them
                # would otherwise go on behind what it never got.
                is_ahead = event.event_type == "gateway.server_time" and not message.id
                assert is_ahead or message.id == event.position, message
                yield event

    @staticmethod
    def problem(answer):
        assert answer.headers["content-type"] == "application/problem+json", answer.headers
        problem = json.loads(b"".join(map(bytes, answer.content)))
        assert problem["status"] == answer.status, problem
        return Refusal(STATUSES[answer.status], problem["reason"])


def subscribers(edge, rpc):
    """The subscribers, each for connections of its own to `edge`; `rpc` sends their commands."""
    yield WebSocket("websockets, JSON", edge, rpc, JSON)
    yield WebSocket("websockets, proto", edge, rpc, PROTO)
    yield EventSource("sseclient, HTTP/1.1, JSON", edge, rpc, HTTPVersion.HTTP1, "application/json", JSON)
    yield EventSource("sseclient, HTTP/2, proto", edge, rpc, HTTPVersion.HTTP2, "application/proto", PROTO)
