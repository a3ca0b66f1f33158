// Every client of the suite behind one shape: `execute` gives the answer and its headers, `subscribe` the events, and
// either throws a Refusal.
import { createRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  compressionGzip, createConnectTransport, createGrpcTransport, createGrpcWebTransport,
} from "@connectrpc/connect-node";
import grpc from "@grpc/grpc-js";
import grpcWeb from "grpc-web";
import xhr2 from "xhr2";
import { Gateway } from "./gen/edge/v1/gateway_pb.js";
import { ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";

const DEADLINE_MS = 10_000;
const DETAILS = [ErrorInfoSchema, RetryInfoSchema];

/** A call that the gateway refused: the code's number, the details by their type names, headers and trailers. */
export class Refusal extends Error {
  constructor(code, details, headers, cause) {
    super(`refused with ${Code[code]}`, { cause });
    Object.assign(this, { code, headers });
    this.details = Object.fromEntries(details.map((detail) => [detail.$typeName, detail]));
  }
}

/** The clients, each for a connection of its own to `edge`. */
export function clients(edge) {
  const options = { baseUrl: edge, defaultTimeoutMs: DEADLINE_MS, useBinaryFormat: true };
  const [h1, h2, json] = [{ httpVersion: "1.1" }, { httpVersion: "2" }, { useBinaryFormat: false }];
  const gzip = { sendCompression: compressionGzip, compressMinBytes: 0 };
  const transports = {
    "Connect, HTTP/1.1, proto": createConnectTransport({ ...options, ...h1 }),
    "Connect, HTTP/1.1, JSON": createConnectTransport({ ...options, ...h1, ...json }),
    "Connect, HTTP/1.1, proto, gzip": createConnectTransport({ ...options, ...h1, ...gzip }),
    "Connect, HTTP/2, proto": createConnectTransport({ ...options, ...h2 }),
    "Connect, HTTP/2, JSON": createConnectTransport({ ...options, ...h2, ...json }),
    "gRPC, HTTP/2, proto": createGrpcTransport(options),
    "gRPC, HTTP/2, JSON": createGrpcTransport({ ...options, ...json }),
    "gRPC-Web, HTTP/1.1, proto": createGrpcWebTransport({ ...options, ...h1 }),
    "gRPC-Web, HTTP/1.1, JSON": createGrpcWebTransport({ ...options, ...h1, ...json }),
    "gRPC-Web, HTTP/2, proto": createGrpcWebTransport({ ...options, ...h2 }),
  };
  return [
    ...Object.entries(transports).map(([name, transport]) => connect(`connect-node, ${name}`, transport)),
    grpcJs("grpc-js", edge),
    googleGrpcWeb("grpc-web, binary", edge, "binary"),
    googleGrpcWeb("grpc-web, text", edge, "text"),
  ];
}

function connect(name, transport) {
  const client = createClient(Gateway, transport);
  const refusal = (error) => {
    if (!(error instanceof ConnectError)) throw error;
    throw new Refusal(error.code, DETAILS.flatMap((kind) => error.findDetails(kind)), error.metadata, error);
  };
  return {
    name,
    async execute(request) {
      const headers = new Headers();
      const keep = (received) => received.forEach((value, key) => headers.append(key, value));
      const answer = await client.executeCommand(request, { onHeader: keep, onTrailer: keep }).catch(refusal);
      return { answer, headers };
    },
    async subscribe(request) {
      const events = [];
      try {
        for await (const event of client.subscribeEvents(request)) events.push(event);
      } catch (error) {
        refusal(error);
      }
      return events;
    },
  };
}

const { executeCommand, subscribeEvents } = Gateway.method;
const path = (method) => `/${Gateway.typeName}/${method.name}`;
const encoder = (method) => (request) => Buffer.from(toBinary(method.input, request));
const decoder = (method) => (bytes) => fromBinary(method.output, bytes);

/** What gRPC and gRPC-Web end a refused call with, from the bytes of grpc-status-details-bin. */
function refusalOf(error, bytes, headers) {
  const details = bytes ? fromBinary(StatusSchema, bytes).details : [];
  return new Refusal(error.code, details.map((any) => anyUnpack(any, createRegistry(...DETAILS))), headers, error);
}

function grpcJs(name, edge) {
  const client = new grpc.Client(new URL(edge).host, grpc.credentials.createInsecure());
  const noMetadata = new grpc.Metadata();
  const deadline = () => ({ deadline: Date.now() + DEADLINE_MS });
  const refusal = (error, headers) => {
    keepText(headers, error.metadata);
    return refusalOf(error, error.metadata.get("grpc-status-details-bin")[0], headers);
  };
  return {
    name,
    execute: (request) => new Promise((resolve, reject) => {
      const method = [path(executeCommand), encoder(executeCommand), decoder(executeCommand)];
      const headers = new Headers();
      client.makeUnaryRequest(...method, request, noMetadata, deadline(), (error, answer) => {
        if (error) reject(refusal(error, headers));
        else resolve({ answer, headers });
      }).on("metadata", (metadata) => keepText(headers, metadata));
    }),
    subscribe: (request) => new Promise((resolve, reject) => {
      const method = [path(subscribeEvents), encoder(subscribeEvents), decoder(subscribeEvents)];
      const [events, headers] = [[], new Headers()];
      client.makeServerStreamRequest(...method, request, noMetadata, deadline())
        .on("metadata", (metadata) => keepText(headers, metadata))
        .on("data", (event) => events.push(event))
        .on("error", (error) => reject(refusal(error, headers)))
        .on("end", () => resolve(events));
    }),
  };
}

/** What is text of grpc-js' metadata: `-bin` values are buffers there. */
function keepText(headers, metadata) {
  for (const [key, value] of Object.entries(metadata.getMap())) {
    if (typeof value === "string") headers.set(key, value);
  }
}

function googleGrpcWeb(name, edge, format) {
  // The client is written for browsers, and finds there what it sends with.
  globalThis.XMLHttpRequest = xhr2.XMLHttpRequest;
  const client = new grpcWeb.GrpcWebClientBase({ format });
  const descriptor = (method, kind) =>
    new grpcWeb.MethodDescriptor(path(method), kind, Object, Object, encoder(method), decoder(method));
  const execute = descriptor(executeCommand, "unary");
  const subscribe = descriptor(subscribeEvents, "server_streaming");
  const deadline = () => ({ deadline: String(Date.now() + DEADLINE_MS) });
  const keep = (headers, metadata) => Object.entries(metadata).forEach(([key, value]) => headers.set(key, value));
  const refusal = (error, headers) => {
    keep(headers, error.metadata);
    return refusalOf(error, Buffer.from(headers.get("grpc-status-details-bin") ?? "", "base64"), headers);
  };
  return {
    name,
    execute: (request) => new Promise((resolve, reject) => {
      const headers = new Headers();
      client.rpcCall(edge + path(executeCommand), request, deadline(), execute, (error, answer) => {
        if (error) reject(refusal(error, headers));
        else resolve({ answer, headers });
      }).on("metadata", (metadata) => keep(headers, metadata));
    }),
    subscribe: (request) => new Promise((resolve, reject) => {
      const [events, headers] = [[], new Headers()];
      client.serverStreaming(edge + path(subscribeEvents), request, deadline(), subscribe)
        .on("metadata", (metadata) => keep(headers, metadata))
        .on("data", (event) => events.push(event))
        .on("error", (error) => reject(refusal(error, headers)))
        .on("end", () => resolve(events));
    }),
  };
}
