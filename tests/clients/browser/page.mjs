// The page: the clients of browsers, and what suite.mjs has it ask of them from the origin that has served it.
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { assert } from "chai";
import { checks, Outcomes, vector1 } from "./checks.mjs";
import { connect, DEADLINE_MS, executeCommand, googleGrpcWeb, path, Refusal } from "./clients.mjs";
import { command } from "./commands.mjs";
import { subscription } from "./streams.mjs";
import { subscribers } from "./subscribers.mjs";

function clients({ edges }) {
  return Object.entries(edges).flatMap(([version, edge]) => {
    const binary = { baseUrl: edge, defaultTimeoutMs: DEADLINE_MS, useBinaryFormat: true };
    const json = { ...binary, useBinaryFormat: false };
    // Where HTTP/2 is spoken, Chromium opens a connection of HTTP/1.1 for a WebSocket.
    const socketName = `WebSocket, ${edge.startsWith("https:") ? "TLS" : "cleartext"}`;
    const connectProto = connect(`connect-web, ${version}, Connect, proto`, createConnectTransport(binary));
    return [
      connectProto,
      connect(`connect-web, ${version}, Connect, JSON`, createConnectTransport(json)),
      connect(`connect-web, ${version}, gRPC-Web, proto`, createGrpcWebTransport(binary)),
      connect(`connect-web, ${version}, gRPC-Web, JSON`, createGrpcWebTransport(json)),
      googleGrpcWeb(`grpc-web, ${version}, binary`, edge, "binary"),
      googleGrpcWeb(`grpc-web, ${version}, text`, edge, "text"),
      ...subscribers(edge, connectProto, { [socketName]: WebSocket }, `fetch, ${version}`),
    ];
  });
}

/** Sends what is the same in every page, so that the second of two is a replay. */
async function ask(client) {
  const fields = { deviceSessionId: `foreign-${client.name.replaceAll(/\W+/g, "-")}`, requestId: "request" };
  if (!client.onlySubscribes) return client.execute(await command(fields));
  const events = client.subscribe(await subscription(fields));
  await events.next();
  return events.return();
}

/** A request that browsers send without a preflight, and that is refused. */
function postText(edge) {
  return fetch(edge + path(executeCommand), { method: "POST", body: "text" });
}

/** What suite.mjs calls: from the origin that the gateway does not allow, and then from the one that it does. */
globalThis.visits = {
  async foreign(settings) {
    const outcomes = new Outcomes();
    await outcomes.checkAll(clients(settings), () => ({
      async "a foreign origin reads nothing"(client) {
        const error = await ask(client).catch((error) => error);
        if (client.onlySubscribes) {
          assert.match(`${error}`, /^TypeError: Failed to fetch|^Error: closed with 1006/);
        } else {
          assert.instanceOf(error, Refusal);
          assert.deepEqual([error.details, [...error.headers]], [{}, []]);
        }
      },
    }));
    for (const [version, edge] of Object.entries(settings.edges)) {
      await outcomes.check(`${version}: a foreign origin reads no refusal either`, async () => {
        assert.instanceOf(await postText(edge).catch((error) => error), TypeError);
      });
    }
    return { ...outcomes };
  },

  async allowed(settings) {
    const outcomes = new Outcomes();
    await outcomes.check("vector 1", vector1);
    const checksOf = await checks(settings.gatewayPublicKey, settings.budget);
    await outcomes.checkAll(clients(settings), (own) => ({
      ...checksOf(own),
      async "a foreign origin has asked for nothing"(client) {
        await ask(client);
      },
    }));
    for (const [version, edge] of Object.entries(settings.edges)) {
      await outcomes.check(`${version}: a refusal without a preflight is read`, async () => {
        const answer = await postText(edge);
        assert.equal(answer.status, 415);
        assert.isNotNull(answer.headers.get("x-request-id"));
        assert.equal((await answer.json()).reason, "MEDIA_TYPE_UNSUPPORTED");
      });
    }
    return { ...outcomes };
  },
};
