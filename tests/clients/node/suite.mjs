// connect-node, grpc-js and grpc-web against a gateway: what is accepted, and how each refusal reads. Run by `run`.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { clients, Refusal } from "./clients.mjs";
import { ExecuteCommandRequestSchema, SubscribeEventsRequestSchema } from "./gen/edge/v1/gateway_pb.js";
import { privateKey, publicKey, requestInput, sign, verify } from "./signing.mjs";

const BUDGET = Number(process.env.SESSION_BUDGET);
const GATEWAY_KEY = publicKey(Buffer.from(process.env.GATEWAY_PUBLIC_KEY, "base64"));
const DEVICE_PUBLIC_KEY = Buffer.from("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8", "hex");
const DEVICE_KEY = privateKey(Buffer.from([...Array(32).keys()]), DEVICE_PUBLIC_KEY);

let number = 0;

/** A signed command of now, in a session of its own unless `fields` name one. */
function command(fields = {}, { schema = ExecuteCommandRequestSchema, key = DEVICE_KEY } = {}) {
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

/** The verified answer to an accepted command, and the headers that came with it. */
async function execute(client, request) {
  const { answer, headers } = await client.execute(request);
  verify(answer, request, GATEWAY_KEY);
  assert.equal(answer.keyId, "suite");
  return { answer, headers, payload: JSON.parse(Buffer.from(answer.payloadBytes)) };
}

/** The refusal that a call must come to, with any reason where none is named. */
async function refused(call, code, reason) {
  const refusal = await call.then(
    () => assert.fail("the call was not refused"),
    (error) => (error instanceof Refusal ? error : Promise.reject(error)),
  );
  assert.equal(Code[refusal.code], Code[code]);
  const info = refusal.details["google.rpc.ErrorInfo"];
  assert.deepEqual([info?.reason, info?.domain], [reason ?? info?.reason, "edge.v1"]);
  return refusal;
}

const checks = {
  async "accepted"(client) {
    const request = command();
    const { answer, payload } = await execute(client, request);
    assert.equal(answer.resultCode, "ok");
    assert.deepEqual(payload, { user_id: `user-of-${request.deviceSessionId}`, name: "Ada" });
    assert.ok(Math.abs(Number(answer.timestampMs - request.timestampMs)) < 10_000, "the clocks differ");
  },

  async "payload arrives"(client) {
    const payloadBytes = Buffer.from('{"name":"Grüße"}');
    const { payload } = await execute(client, command({ messageType: "user.account.rename", payloadBytes }));
    assert.equal(payload.name, "Grüße");
  },

  async "backend error is signed"(client) {
    const payloadBytes = Buffer.from('{"name":""}');
    const { answer } = await execute(client, command({ messageType: "user.account.rename", payloadBytes }));
    assert.equal(answer.resultCode, "name.invalid");
  },

  async "changed answer is noticed"(client) {
    const request = command();
    const { answer } = await execute(client, request);
    answer.resultCode = "name.invalid";
    assert.throws(() => verify(answer, request, GATEWAY_KEY), /signature/);
  },

  async "replayed"(client) {
    const request = command();
    await execute(client, request);
    await refused(client.execute(request), Code.AlreadyExists, "REQUEST_REPLAYED");
  },

  async "forged"(client) {
    const request = command();
    const { deviceSessionId, requestId } = request;
    const stranger = command({ deviceSessionId, requestId }, { key: generateKeyPairSync("ed25519").privateKey });
    await refused(client.execute(stranger), Code.Unauthenticated, "SIGNATURE_INVALID");
    // The stranger has not used up the device's request_id.
    await execute(client, request);
  },

  async "budget exhausted"(client) {
    const limits = (headers) => ["x-ratelimit-limit", "x-ratelimit-remaining"].map((name) => headers.get(name));
    const { deviceSessionId } = command();
    for (let left = BUDGET - 1; left >= 0; left -= 1) {
      const { headers } = await execute(client, command({ deviceSessionId }));
      assert.deepEqual(limits(headers), [`${BUDGET}`, `${left}`]);
    }
    const call = client.execute(command({ deviceSessionId }));
    const { details, headers } = await refused(call, Code.ResourceExhausted, "BUDGET_EXHAUSTED");
    const delay = Number(details["google.rpc.RetryInfo"]?.retryDelay?.seconds);
    assert.ok(delay > 0 && delay <= 3600, `the retry delay is ${delay} s`);
    assert.equal(headers.get("retry-after"), `${delay}`);
    assert.deepEqual(limits(headers), [`${BUDGET}`, "0"]);
    const reset = Number(headers.get("x-ratelimit-reset"));
    assert.ok(reset > 0 && reset <= 3600, `the budget is back in ${reset} s`);
  },

  async "events are unimplemented"(client) {
    const request = command({ messageType: "gateway.subscribe" }, { schema: SubscribeEventsRequestSchema });
    await refused(client.subscribe(request), Code.Unimplemented);
  },
};

function vector1() {
  const request = command({
    deviceSessionId: "session-1", timestampMs: 1700000000000n, requestId: "req-1",
  });
  assert.equal(
    requestInput(request).toString("hex"),
    "0f656467652d726571756573742d76310276310973657373696f6e2d3110757365722e6163636f756e742e676574" +
      "0000018bcfe56800057265712d3120e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
  assert.equal(
    request.signature.toString("hex"),
    "0f348dbd30dae3f4d37e1920d960582dcbacf5eebbd6284752169b9bd4963588" +
      "c51225e95b3a8f6f21de6a3b4e73f23c4129b46d560fef697e092f20c42e7d0f",
  );
}

let [passed, failed] = [0, 0];

async function run(name, check) {
  try {
    await check();
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}`, error);
  }
}

await run("vector 1", vector1);
for (const client of clients(process.env.EDGE)) {
  for (const [name, check] of Object.entries(checks)) {
    await run(`${client.name}: ${name}`, () => check(client));
  }
}
console.log(`${passed} passed, ${failed} failed`);
// The clients keep their connections open, so the process would not end by itself.
process.exit(failed ? 1 : 0);
