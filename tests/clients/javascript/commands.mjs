// The commands that the checks send, and how a refusal is told.
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { assert } from "chai";
import { Refusal } from "./clients.mjs";
import { ExecuteCommandRequestSchema } from "./gen/edge/v1/gateway_pb.js";
import { privateKey, sign } from "./signing.mjs";

export const CLOCK_MS = 10_000;
// The gateway compresses no answer under 1 KiB.
export const LONG_NAME = "Grüße ".repeat(500);
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
  assert.deepEqual([Code[refusal.code], refusal.reason], [Code[code], reason], refusal.message);
  return refusal;
}

export const json = (value) => new TextEncoder().encode(JSON.stringify(value));
export const parsed = (bytes) => JSON.parse(new TextDecoder().decode(bytes));
export const rename = (payload, fields) =>
  command({ messageType: "user.account.rename", payloadBytes: payload, ...fields });
