// The clients of Node: connect-node over its transports, grpc-js, and grpc-web.
import {
  compressionGzip, createConnectTransport, createGrpcTransport, createGrpcWebTransport,
} from "@connectrpc/connect-node";
import grpc from "@grpc/grpc-js";
import xhr2 from "xhr2";
import {
  connect, DEADLINE_MS, decoder, encoder, executeCommand, googleGrpcWeb, missing, path, refusalOf, subscribeEvents,
} from "./clients.mjs";

/** The clients, each for a connection of its own to `edge`. */
export function clients(edge) {
  // grpc-web is written for browsers, and finds there what it sends with.
  globalThis.XMLHttpRequest = xhr2.XMLHttpRequest;
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
    // xhr2 has text only when it is whole, too.
    googleGrpcWeb("grpc-web, text", edge, "text", { readsWhole: true }),
  ];
}

function grpcJs(name, edge) {
  const client = new grpc.Client(new URL(edge).host, grpc.credentials.createInsecure());
  const noMetadata = new grpc.Metadata();
  const deadline = () => ({ deadline: Date.now() + DEADLINE_MS });
  const parts = (method) => [path(method), (request) => Buffer.from(encoder(method)(request)), decoder(method)];
  const refusal = (error, headers) => {
    keepText(headers, error.metadata);
    return refusalOf(error, error.metadata.get("grpc-status-details-bin")[0], headers);
  };
  const unary = (method) => (request) => new Promise((resolve, reject) => {
    const headers = new Headers();
    client.makeUnaryRequest(...parts(method), request, noMetadata, deadline(), (error, answer) => {
      if (error) reject(refusal(error, headers));
      else resolve({ answer, headers });
    }).on("metadata", (metadata) => keepText(headers, metadata));
  });
  return {
    name,
    execute: unary(executeCommand),
    misdirect: unary(missing),
    async *subscribe(request) {
      const headers = new Headers();
      const stream = client.makeServerStreamRequest(...parts(subscribeEvents), request, noMetadata, deadline())
        .on("metadata", (metadata) => keepText(headers, metadata))
        // Of a stream that is closed nobody else hears.
        .on("error", () => {});
      try {
        yield* stream;
      } catch (error) {
        throw refusal(error, headers);
      } finally {
        stream.cancel();
      }
    },
  };
}

/** What is text of grpc-js' metadata: `-bin` values are buffers there. */
function keepText(headers, metadata) {
  for (const [key, value] of Object.entries(metadata.getMap())) {
    if (typeof value === "string") headers.set(key, value);
  }
}
