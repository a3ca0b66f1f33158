// What every client is held to: what is accepted, and how each refusal reads.
import { base64Decode } from "@bufbuild/protobuf/wire";
import { Code } from "@connectrpc/connect";
import { assert } from "chai";
import { CLOCK_MS, command, json, LONG_NAME, parsed, refused, rename } from "./commands.mjs";
import { publicKey, requestInput, strangersKey, verify } from "./signing.mjs";
import { streamChecks } from "./streams.mjs";

// The default, which gateway.yaml leaves as it is.
const LISTENER_BODY_BYTES = 1 << 20;

/** What gives the checks of a client, by name, where answers are verified with this key, in base64, and a session may
 * send so many commands. */
export async function checks(gatewayPublicKey, budget) {
  const gatewayKey = await publicKey(base64Decode(gatewayPublicKey));

  /** The verified answer to an accepted command, and the headers that came with it. */
  async function execute(client, request) {
    const { answer, headers } = await client.execute(request);
    await verify(answer, request, gatewayKey);
    assert.equal(answer.keyId, "suite");
    return { answer, headers, payload: parsed(answer.payloadBytes) };
  }

  const everyCommand = {
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
  };
  const ofStreams = streamChecks(gatewayKey, execute);
  return (client) => ({ ...(client.onlySubscribes ? {} : everyCommand), ...ofStreams(client) });
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
