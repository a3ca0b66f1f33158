// Clients that subscribe over WebSocket and by server-sent events, in the shape of those in clients.mjs. One of those,
// `rpc`, sends their commands.
import { fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { assert } from "chai";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { Arrivals, DEADLINE_MS, Refusal } from "./clients.mjs";
import { EventSchema, SubscribeEventsRequestSchema } from "./gen/edge/v1/gateway_pb.js";

// What is added to the number of a code where a WebSocket is closed with it.
const CLOSE_OF_CODE = 4000;
// What a status says of the refusals that the suite comes to.
const STATUSES = { 401: Code.Unauthenticated, 404: Code.Unimplemented };
const ENDS = { failed_precondition: Code.FailedPrecondition };

const readJson = (text) => fromJson(EventSchema, JSON.parse(text));
const json = {
  mediaType: "application/json",
  encode: (request) => JSON.stringify(toJson(SubscribeEventsRequestSchema, request)),
  decode: readJson,
};
const proto = {
  mediaType: "application/proto",
  encode: (request) => toBinary(SubscribeEventsRequestSchema, request),
  decode: (data) => fromBinary(EventSchema, new Uint8Array(data)),
};

/** Subscribes with a class like the WebSocket of browsers. */
function webSocket(name, edge, rpc, Socket, { encode, decode }) {
  return {
    name,
    execute: rpc.execute,
    onlySubscribes: true,
    async *subscribe(request) {
      const socket = new Socket(`${edge.replace("http", "ws")}/events/ws`);
      socket.binaryType = "arraybuffer";
      const arrivals = new Arrivals();
      const late = setTimeout(() => arrivals.put({ error: new Error("nothing came of it in time") }), DEADLINE_MS);
      socket.addEventListener("open", () => socket.send(encode(request)));
      socket.addEventListener("message", ({ data }) => arrivals.put({ data }));
      // Followed by a close, which says more.
      socket.addEventListener("error", () => {});
      socket.addEventListener("close", (close) => arrivals.put({ error: refusalOf(close) }));
      try {
        for (;;) {
          const { data, error } = await arrivals.next();
          if (error) throw error;
          yield decode(data);
        }
      } finally {
        clearTimeout(late);
        socket.close();
      }
    },
  };
}

function refusalOf({ code, reason, wasClean }) {
  const isRefusal = wasClean && Code[code - CLOSE_OF_CODE];
  return isRefusal ? new Refusal(code - CLOSE_OF_CODE, reason) : new Error(`closed with ${code} ${reason}`);
}

/** Subscribes with fetch, as the EventSource of browsers cannot post. */
function eventSource(name, edge, rpc, { mediaType, encode }) {
  return {
    name,
    execute: rpc.execute,
    onlySubscribes: true,
    async *subscribe(request) {
      const closing = new AbortController();
      const late = setTimeout(() => closing.abort(new Error("nothing came of it in time")), DEADLINE_MS);
      const options = { method: "POST", headers: { "content-type": mediaType }, body: encode(request) };
      try {
        const answer = await fetch(`${edge}/events/sse`, { ...options, signal: closing.signal });
        if (!answer.ok) throw await problemOf(answer);
        assert.equal(answer.headers.get("content-type"), "text/event-stream");
        const text = answer.body.pipeThrough(new TextDecoderStream());
        const messages = text.pipeThrough(new EventSourceParserStream({ onError: "terminate" })).getReader();
        for (;;) {
          const { value: message, done } = await messages.read();
          if (done) return;
          if (message.event === "end") throw await endOf(message, messages);
          const event = readJson(message.data);
          // The first event has none where what was missed follows it: a client that is cut off between them would
          // otherwise go on behind what it never got.
          const isAhead = event.eventType === "gateway.server_time" && message.id === undefined;
          if (!isAhead) assert.equal(message.id, event.position);
          yield event;
        }
      } finally {
        clearTimeout(late);
        closing.abort();
      }
    },
  };
}

async function problemOf(answer) {
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  const { status, reason } = await answer.json();
  assert.equal(status, answer.status);
  return new Refusal(STATUSES[status], reason);
}

async function endOf({ data }, messages) {
  assert.isTrue((await messages.read()).done, "something came behind the end");
  const { code, reason } = JSON.parse(data);
  return new Refusal(ENDS[code], reason);
}

/** The subscribers, each with connections of its own to `edge`, over classes like the WebSocket of browsers, by name. */
export function subscribers(edge, rpc, sockets, fetchName) {
  return [
    ...Object.entries(sockets).flatMap(([name, Socket]) => [
      webSocket(`${name}, JSON`, edge, rpc, Socket, json),
      webSocket(`${name}, proto`, edge, rpc, Socket, proto),
    ]),
    eventSource(`${fetchName}, JSON`, edge, rpc, json),
    eventSource(`${fetchName}, proto`, edge, rpc, proto),
  ];
}
