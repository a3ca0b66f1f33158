// What every client is held to: what is accepted, and how each refusal reads.
import { create, toBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { Code } from "@connectrpc/connect";
import { assert } from "chai";
import { Refusal } from "./clients.mjs";
import {
  ExecuteCommandRequestSchema, SubscribeEventsRequestSchema, SubscribeOptionsSchema,
} from "./gen/edge/v1/gateway_pb.js";
import { privateKey, publicKey, requestInput, sign, strangersKey, verify, verifyEvent } from "./signing.mjs";

const CLOCK_MS = 10_000;
// The default, which gateway.yaml leaves as it is.
const LISTENER_BODY_BYTES = 1 << 20;
// The gateway compresses no answer under 1 KiB.
const LONG_NAME = "Grüße ".repeat(500);
const DEVICE_KEY = await privateKey(Array(32).keys());

let number = 0;

/** A signed command of now, in a session of its own unless `fields` name one. */
export async function command(fields = {}, { schema = ExecuteCommandRequestSchema, key = DEVICE_KEY } = {}) {
  number += 1;
  const request = create(schema, {
    protocolVersion: "v1",
    deviceSessionId: `session-${number}`,
    messageType: "user.account.get",
    timestampMs: BigInt(Date.now()),
    requestId: `request-${number}`,
    ...fields,
  });
  return sign(request, key);
}

/** The refusal that a call must come to. */
export async function refused(call, code, reason) {
  const refusal = await call.then(
    () => assert.fail("the call was not refused"),
    (error) => (error instanceof Refusal ? error : Promise.reject(error)),
  );
  const info = refusal.details["google.rpc.ErrorInfo"];
  assert.deepEqual([Code[refusal.code], info?.reason, info?.domain], [Code[code], reason, "edge.v1"], refusal.message);
  return refusal;
}

const json = (value) => new TextEncoder().encode(JSON.stringify(value));
const text = (bytes) => new TextDecoder().decode(bytes);
const rename = (payload, deviceSessionId) => {
  const fields = { messageType: "user.account.rename", payloadBytes: payload };
  return command(deviceSessionId ? { ...fields, deviceSessionId } : fields);
};
/** The stream of a client that reads it whole ends so long after its beginning. */
const WHOLE_SECONDS = 2;
const WHOLE_ATTEMPTS = 3;

/** What gives the checks of a client, by name, where answers are verified with this key, in base64, and a session may
 * send so many commands. */
export async function checks(gatewayPublicKey, budget) {
  const gatewayKey = await publicKey(base64Decode(gatewayPublicKey));

  /** The verified answer to an accepted command, and the headers that came with it. */
  async function execute(client, request) {
    const { answer, headers } = await client.execute(request);
    await verify(answer, request, gatewayKey);
    assert.equal(answer.keyId, "suite");
    return { answer, headers, payload: JSON.parse(text(answer.payloadBytes)) };
  }

  /** A position that some client has seen. */
  let known;

  /** The events of an accepted subscription, each verified, behind the first, which is held to what opened it. */
  async function subscribed(client, deviceSessionId, { resumeAfter = "", resumed = true, seconds } = {}) {
    const payloadBytes = toBinary(SubscribeOptionsSchema, create(SubscribeOptionsSchema, { resumeAfter }));
    const request = await subscription({ deviceSessionId, payloadBytes });
    const stream = client.subscribe(request, seconds);
    const next = async () => {
      const { value: event, done } = await stream.next();
      assert.isFalse(done, "the stream has ended without a reason");
      await verifyEvent(event, gatewayKey);
      assert.deepEqual([event.protocolVersion, event.keyId], ["v1", "suite"]);
      return event;
    };
    const first = await next();
    const told = [first.eventType, first.requestId, first.subject];
    assert.deepEqual(told, ["gateway.server_time", request.requestId, `user-of-${deviceSessionId}`]);
    const payload = JSON.parse(text(first.payloadBytes));
    assert.deepEqual([payload.request_id, payload.resumed], [request.requestId, resumed]);
    assert.isBelow(Math.abs(payload.server_time_ms - Number(request.timestampMs)), CLOCK_MS, "the clocks differ");
    known = first.position;
    return { next, close: () => stream.return() };
  }

  const renamed = ({ eventType, subject, requestId, payloadBytes }, request, name) =>
    assert.deepEqual(
      [eventType, subject, requestId, JSON.parse(text(payloadBytes))],
      ["user.account.renamed", `user-of-${request.deviceSessionId}`, request.requestId, { name }],
    );

  async function renameTo(client, name, deviceSessionId) {
    const request = await rename(json({ name }), deviceSessionId);
    await execute(client, request);
    return request;
  }

  const revoke = async (client, deviceSessionId) =>
    execute(client, await command({
      messageType: "user.session.revoke", payloadBytes: json({ device_session_id: deviceSessionId }),
    }));

  const streaming = {
    async "event arrives"(client) {
      const { deviceSessionId } = await command();
      const events = await subscribed(client, deviceSessionId);
      // Of another user.
      await renameTo(client, "Bob");
      const request = await renameTo(client, LONG_NAME, deviceSessionId);
      const event = await events.next();
      renamed(event, request, LONG_NAME);
      await events.close();
      event.position += "0";
      assert.match(await verifyEvent(event, gatewayKey).catch((error) => error.message), /signature/);
    },

    async "stream resumes"(client) {
      const { deviceSessionId } = await command();
      let events = await subscribed(client, deviceSessionId);
      await renameTo(client, "Ada", deviceSessionId);
      const { position } = await events.next();
      await events.close();
      const missed = await renameTo(client, "Countess", deviceSessionId);
      events = await subscribed(client, deviceSessionId, { resumeAfter: position });
      renamed(await events.next(), missed, "Countess");
      await events.close();
      const other = await command();
      events = await subscribed(client, other.deviceSessionId, { resumeAfter: "of-long-ago", resumed: false });
      await events.close();
    },

    async "revocation ends stream"(client) {
      const { deviceSessionId } = await command();
      const events = await subscribed(client, deviceSessionId);
      await revoke(client, deviceSessionId);
      await refused(events.next(), Code.FailedPrecondition, "SESSION_REVOKED");
      await refused(client.execute(await command({ deviceSessionId })), Code.FailedPrecondition, "SESSION_REVOKED");
    },
  };

  const readWhole = {
    async "event is in a stream that is over"(client) {
      const { deviceSessionId } = await command();
      const request = await renameTo(client, LONG_NAME, deviceSessionId);
      const options = { resumeAfter: known, seconds: WHOLE_SECONDS };
      const isOver = (error) => error.code === Code.DeadlineExceeded;
      let events;
      for (let left = WHOLE_ATTEMPTS; !events; left -= 1) {
        events = await subscribed(client, deviceSessionId, options).catch((error) => {
          // On a busy machine its time may be over before it has begun.
          if (left === 1 || !isOver(error)) throw error;
        });
      }
      renamed(await events.next(), request, LONG_NAME);
      assert.isTrue(isOver(await events.next().catch((error) => error)));
    },

    async "revocation ends stream"(client) {
      const { deviceSessionId } = await command();
      const stream = client.subscribe(await subscription({ deviceSessionId }));
      // Which of the two is first the client cannot tell, but it comes to the same end.
      const [, ended] = await Promise.all([revoke(client, deviceSessionId), lastOf(stream)]);
      await refused(Promise.reject(ended), Code.FailedPrecondition, "SESSION_REVOKED");
    },
  };

  const every = {
    async "accepted"(client) {
      const request = await command();
      const { answer, payload } = await execute(client, request);
      assert.equal(answer.resultCode, "ok");
      assert.deepEqual(payload, { user_id: `user-of-${request.deviceSessionId}`, name: "Ada" });
      assert.isBelow(Math.abs(Number(answer.timestampMs - request.timestampMs)), CLOCK_MS, "the clocks differ");
    },

    async "payload arrives"(client) {
      const { payload } = await execute(client, await rename(json({ name: LONG_NAME })));
      assert.equal(payload.name, LONG_NAME);
    },

    async "backend error is signed"(client) {
      const { answer } = await execute(client, await rename(json({ name: "" })));
      assert.equal(answer.resultCode, "name.invalid");
    },

    async "changed answer is noticed"(client) {
      const request = await command();
      const { answer } = await execute(client, request);
      answer.resultCode = "name.invalid";
      const noticed = await verify(answer, request, gatewayKey).catch((error) => error.message);
      assert.match(noticed, /signature/);
    },

    async "replayed"(client) {
      const request = await command();
      await execute(client, request);
      await refused(client.execute(request), Code.AlreadyExists, "REQUEST_REPLAYED");
    },

    async "forged"(client) {
      const request = await command();
      const { deviceSessionId, requestId } = request;
      const stranger = await command({ deviceSessionId, requestId }, { key: await strangersKey() });
      await refused(client.execute(stranger), Code.Unauthenticated, "SIGNATURE_INVALID");
      // The stranger has not used up the device's request_id.
      await execute(client, request);
    },

    async "budget exhausted"(client) {
      const limits = (headers) => ["x-ratelimit-limit", "x-ratelimit-remaining"].map((name) => headers.get(name));
      const { deviceSessionId } = await command();
      for (let left = budget - 1; left >= 0; left -= 1) {
        const { headers } = await execute(client, await command({ deviceSessionId }));
        assert.deepEqual(limits(headers), [`${budget}`, `${left}`]);
      }
      const call = client.execute(await command({ deviceSessionId }));
      const { details, headers } = await refused(call, Code.ResourceExhausted, "BUDGET_EXHAUSTED");
      const delay = Number(details["google.rpc.RetryInfo"]?.retryDelay?.seconds);
      assert.isTrue(delay > 0 && delay <= 3600, `the retry delay is ${delay} s`);
      assert.equal(headers.get("retry-after"), `${delay}`);
      assert.deepEqual(limits(headers), [`${budget}`, "0"]);
      const reset = Number(headers.get("x-ratelimit-reset"));
      assert.isTrue(reset > 0 && reset <= 3600, `the budget is back in ${reset} s`);
    },

    async "too large"(client) {
      const request = await rename(new Uint8Array(LISTENER_BODY_BYTES));
      await refused(client.execute(request), Code.ResourceExhausted, "MESSAGE_TOO_LARGE");
      await execute(client, await command());
    },

    async "method unknown"(client) {
      await refused(client.misdirect(await command()), Code.Unimplemented, "ROUTE_UNKNOWN");
    },

    async "subscription is checked"(client) {
      const forged = await subscription({}, await strangersKey());
      await refused(client.subscribe(forged).next(), Code.Unauthenticated, "SIGNATURE_INVALID");
      const request = await subscription({ messageType: "user.account.get" });
      await refused(client.subscribe(request).next(), Code.Unimplemented, "MESSAGE_TYPE_UNKNOWN");
    },
  };
  return (client) => ({ ...every, ...(client.readsWhole ? readWhole : streaming) });
}

const subscription = (fields, key = DEVICE_KEY) =>
  command({ messageType: "gateway.subscribe", ...fields }, { schema: SubscribeEventsRequestSchema, key });

/** What a stream ends with. */
async function lastOf(stream) {
  try {
    for await (const event of stream) assert.match(event.eventType, /^gateway\./);
  } catch (error) {
    return error;
  }
  return assert.fail("the stream has ended without a reason");
}

/** Signs as the wire contract says that the device of every suite does. */
export async function vector1() {
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const request = await command({
    deviceSessionId: "session-1", timestampMs: 1700000000000n, requestId: "req-1",
  });
  assert.equal(
    hex(requestInput(request)),
    "0f656467652d726571756573742d76310276310973657373696f6e2d3110757365722e6163636f756e742e676574" +
      "0000018bcfe56800057265712d3120e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
  assert.equal(
    hex(request.signature),
    "0f348dbd30dae3f4d37e1920d960582dcbacf5eebbd6284752169b9bd4963588" +
      "c51225e95b3a8f6f21de6a3b4e73f23c4129b46d560fef697e092f20c42e7d0f",
  );
}

/** Runs checks one after the other, says how each ended, and counts. */
export class Outcomes {
  passed = 0;
  failed = 0;

  async check(name, check) {
    try {
      await check();
      this.passed += 1;
      console.log(`ok    ${name}`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAIL  ${name}\n${error.stack}`);
    }
  }

  /** Every check of every client. */
  async checkAll(clients, checksOf) {
    for (const client of clients) {
      for (const [name, check] of Object.entries(checksOf(client))) {
        await this.check(`${client.name}: ${name}`, () => check(client));
      }
    }
  }
}
