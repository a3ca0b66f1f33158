// The clients that Node and browsers have in common, behind one shape: `execute` gives the answer and its headers,
// `subscribe` the events as they come, or where the client `readsWhole` when its stream is over, `misdirect` calls a
// method that there is not, and each throws a Refusal.
import { createRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import * as grpcWeb from "grpc-web";
import { Gateway } from "./gen/edge/v1/gateway_pb.js";
import { ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";

export const DEADLINE_MS = 10_000;
const DETAILS = [ErrorInfoSchema, RetryInfoSchema];
// What the reasons of refusals are words of.
const DOMAIN = "edge.v1";

export const { executeCommand, subscribeEvents } = Gateway.method;
/** A method that the gateway does not have. */
export const missing = { ...executeCommand, name: "Nothing", localName: "nothing" };

export const path = (method) => `/${Gateway.typeName}/${method.name}`;
export const encoder = (method) => (request) => toBinary(method.input, request);
export const decoder = (method) => (bytes) => fromBinary(method.output, bytes);

/** A call that the gateway refused, or a stream that it ended: the code's number, the reason, and where it came as an RPC
 * does the details by their type names, headers and trailers. */
export class Refusal extends Error {
  constructor(code, reason, { details = {}, headers, cause } = {}) {
    super(`refused with ${Code[code]}, ${reason}: ${cause?.message}`, { cause });
    Object.assign(this, { code, reason, details, headers });
  }

  static ofRpc(code, detailsList, headers, cause) {
    const details = Object.fromEntries(detailsList.map((detail) => [detail.$typeName, detail]));
    const info = details["google.rpc.ErrorInfo"];
    return new Refusal(code, info?.domain === DOMAIN ? info.reason : undefined, { details, headers, cause });
  }
}

/** What comes in callbacks, in its order, for whoever asks for the next. */
export class Arrivals {
  #came = [];
  #wake = () => {};

  put(value) {
    this.#came.push(value);
    this.#wake();
  }

  async next() {
    while (!this.#came.length) await new Promise((resolve) => { this.#wake = resolve; });
    return this.#came.shift();
  }
}

/** What gRPC and gRPC-Web end a refused call with, from the bytes of grpc-status-details-bin. */
export function refusalOf(error, bytes, headers) {
  const details = bytes ? fromBinary(StatusSchema, bytes).details : [];
  return Refusal.ofRpc(error.code, details.map((any) => anyUnpack(any, createRegistry(...DETAILS))), headers, error);
}

/** A client of Connect's over one of its transports. */
export function connect(name, transport) {
  const client = createClient({ ...Gateway, methods: [...Gateway.methods, missing] }, transport);
  const refusal = (error) => {
    if (!(error instanceof ConnectError)) throw error;
    throw Refusal.ofRpc(error.code, DETAILS.flatMap((kind) => error.findDetails(kind)), error.metadata, error);
  };
  const unary = (method) => async (request) => {
    const headers = new Headers();
    const keep = (received) => received.forEach((value, key) => headers.append(key, value));
    const answer = await client[method.localName](request, { onHeader: keep, onTrailer: keep }).catch(refusal);
    return { answer, headers };
  };
  return {
    name,
    execute: unary(executeCommand),
    misdirect: unary(missing),
    async *subscribe(request) {
      const closing = new AbortController();
      try {
        yield* client.subscribeEvents(request, { signal: closing.signal });
      } catch (error) {
        refusal(error);
      } finally {
        closing.abort();
      }
    },
  };
}

/** Google's client, in its format `binary` or `text`. It sends with `XMLHttpRequest`, where bytes that are no text can
 * only be had together. */
export function googleGrpcWeb(name, edge, format, { readsWhole = format === "binary" } = {}) {
  const client = new grpcWeb.GrpcWebClientBase({ format });
  const descriptor = (method, kind) =>
    new grpcWeb.MethodDescriptor(path(method), kind, Object, Object, encoder(method), decoder(method));
  const deadline = () => ({ deadline: String(Date.now() + DEADLINE_MS) });
  const keep = (headers, metadata) =>
    Object.entries(metadata ?? {}).forEach(([key, value]) => headers.set(key, value));
  const refusal = (error, headers) => {
    keep(headers, error.metadata);
    const details = headers.get("grpc-status-details-bin");
    return refusalOf(error, details && base64Decode(details), headers);
  };
  // Told once the answer is whole, however it ends; an error in a text is told as soon as it is read.
  const received = (stream, headers) =>
    new Promise((resolve) => stream.on("metadata", (metadata) => resolve(keep(headers, metadata))));
  const unary = (method) => async (request) => {
    const headers = new Headers();
    const call = [edge + path(method), request, deadline(), descriptor(method, "unary")];
    let whole;
    const [error, answer] = await new Promise((resolve) => {
      whole = received(client.rpcCall(...call, (...outcome) => resolve(outcome)), headers);
    });
    await whole;
    if (error) throw refusal(error, headers);
    return { answer, headers };
  };
  return {
    name,
    execute: unary(executeCommand),
    misdirect: unary(missing),
    readsWhole,
    async *subscribe(request, timeoutSeconds = DEADLINE_MS / 1000) {
      const headers = new Headers();
      // Not as a deadline, which the client would hold itself to, and throw away what it has.
      const call = [edge + path(subscribeEvents), request, { "grpc-timeout": `${timeoutSeconds}S` }];
      const stream = client.serverStreaming(...call, descriptor(subscribeEvents, "server_streaming"));
      const whole = received(stream, headers);
      const arrivals = new Arrivals();
      const keepNext = (what) => (value) => arrivals.put({ [what]: value });
      // An error that is told in trailers is followed by an end.
      stream.on("data", keepNext("event")).on("error", keepNext("error")).on("end", keepNext("end"));
      try {
        for (;;) {
          const { event, error } = await arrivals.next();
          if (event) {
            yield event;
          } else {
            await whole;
            if (error) throw refusal(error, headers);
            return;
          }
        }
      } finally {
        stream.cancel();
      }
    },
  };
}
