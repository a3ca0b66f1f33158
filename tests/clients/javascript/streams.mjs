// What every client is held to where events are pushed: that they arrive, that a stream is resumed, and how it ends.
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { assert } from "chai";
import { CLOCK_MS, command, json, LONG_NAME, parsed, refused, rename } from "./commands.mjs";
import { SubscribeEventsRequestSchema, SubscribeOptionsSchema } from "./gen/edge/v1/gateway_pb.js";
import { strangersKey, verifyEvent } from "./signing.mjs";

// The stream of a client that reads it whole ends so long after its beginning.
const WHOLE_SECONDS = 2;
const WHOLE_ATTEMPTS = 3;

export const subscription = (fields, key) =>
  command({ messageType: "gateway.subscribe", ...fields }, { schema: SubscribeEventsRequestSchema, key });

/** What gives the checks of a client, by name, where events are verified with this key and commands are executed so. */
export function streamChecks(gatewayKey, execute) {
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
    const payload = parsed(first.payloadBytes);
    assert.deepEqual([payload.request_id, payload.resumed], [request.requestId, resumed]);
    assert.isBelow(Math.abs(payload.server_time_ms - Number(request.timestampMs)), CLOCK_MS, "the clocks differ");
    known = first.position;
    return { next, close: () => stream.return() };
  }

  const renamed = ({ eventType, subject, requestId, payloadBytes }, request, name) =>
    assert.deepEqual(
      [eventType, subject, requestId, parsed(payloadBytes)],
      ["user.account.renamed", `user-of-${request.deviceSessionId}`, request.requestId, { name }],
    );

  async function renameTo(client, name, fields) {
    const request = await rename(json({ name }), fields);
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
      const request = await renameTo(client, LONG_NAME, { deviceSessionId });
      const event = await events.next();
      renamed(event, request, LONG_NAME);
      await events.close();
      event.position += "0";
      assert.match(await verifyEvent(event, gatewayKey).catch((error) => error.message), /signature/);
    },

    async "stream resumes"(client) {
      const { deviceSessionId } = await command();
      let events = await subscribed(client, deviceSessionId);
      await renameTo(client, "Ada", { deviceSessionId });
      const { position } = await events.next();
      await events.close();
      const missed = await renameTo(client, "Countess", { deviceSessionId });
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
      const request = await renameTo(client, LONG_NAME, { deviceSessionId });
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
    async "subscription is checked"(client) {
      const forged = await subscription({}, await strangersKey());
      await refused(client.subscribe(forged).next(), Code.Unauthenticated, "SIGNATURE_INVALID");
      const request = await subscription({ messageType: "user.account.get" });
      await refused(client.subscribe(request).next(), Code.Unimplemented, "MESSAGE_TYPE_UNKNOWN");
    },
  };
  return (client) => ({ ...every, ...(client.readsWhole ? readWhole : streaming) });
}

/** What a stream ends with. */
async function lastOf(stream) {
  try {
    for await (const event of stream) assert.match(event.eventType, /^gateway\./);
  } catch (error) {
    return error;
  }
  return assert.fail("the stream has ended without a reason");
}
