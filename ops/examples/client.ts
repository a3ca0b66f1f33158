// Signs in, sends signed commands over Connect in JSON, and verifies the answers: `node client.ts [PUBLIC EDGE]`, two
// URLs. Needs Node 22.18 or newer, and nothing else. The wire is described in proto/WIRE.md.

import { createHash, createPublicKey, generateKeyPairSync, randomUUID, sign, verify } from "node:crypto";

const [PUBLIC = "http://127.0.0.1:8080", EDGE = "http://127.0.0.1:9090"] = process.argv.slice(2);

type Json = any;

async function call(url: string, document?: Json): Promise<Json> {
  const headers = { "Content-Type": "application/json" };
  const request = document === undefined ? {} : { method: "POST", headers, body: JSON.stringify(document) };
  const answer = await fetch(url, { ...request, signal: AbortSignal.timeout(10_000) });
  const body = await answer.json();
  if (answer.ok) return body;
  const reason = body.details?.find((detail: Json) => detail.debug?.reason)?.debug.reason;
  throw new Error(`${body.code} ${reason}: ${body.message}`);
}

/** Concatenates the fields: a bigint as 8 bytes, big-endian; all else with its length ahead, as an unsigned LEB128. */
function signingInput(...fields: (string | bigint | Buffer)[]): Buffer {
  return Buffer.concat(fields.flatMap((field) => {
    if (typeof field === "bigint") {
      const fixed = Buffer.alloc(8);
      fixed.writeBigInt64BE(field);
      return [fixed];
    }
    const data = Buffer.from(field as string);
    const length: number[] = [];
    let rest = data.length;
    for (; rest > 0x7f; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
    return [Buffer.from([...length, rest]), data];
  }));
}

const sha256 = (data: Buffer) => createHash("sha256").update(data).digest();

/** Returns the result code and the payload of a verified answer. Throws where the command is refused. */
async function execute(messageType: string, payload?: Json): Promise<[string, Json]> {
  const body = Buffer.from(payload === undefined ? "" : JSON.stringify(payload));
  const [hash, at, requestId] = [sha256(body), BigInt(Date.now()), randomUUID()];
  const signature = sign(null, signingInput("edge-request-v1", "v1", session, messageType, at, requestId, hash), key.privateKey);
  const answer = await call(`${EDGE}/edge.v1.Gateway/ExecuteCommand`, {
    protocolVersion: "v1", deviceSessionId: session, messageType, timestampMs: `${at}`, requestId,
    payloadBytes: body.toString("base64"), payloadHash: hash.toString("base64"), signature: signature.toString("base64"),
  });
  const result = Buffer.from(answer.payloadBytes ?? "", "base64");
  // Session and request are this client's own: an answer to another device or command does not verify.
  const signed = signingInput(
    "edge-response-v1", "v1", session, requestId, BigInt(answer.timestampMs), answer.resultCode, sha256(result));
  const gatewayKey = gatewayKeys.get(answer.keyId);
  if (!gatewayKey || !verify(null, signed, gatewayKey, Buffer.from(answer.signature, "base64"))) {
    throw new Error("the answer's signature does not verify");
  }
  return [answer.resultCode, JSON.parse(result.toString() || "null")];
}

const key = generateKeyPairSync("ed25519"); // A real device makes it once, and keeps it in its keystore.
const publicKey = Buffer.from(key.publicKey.export({ format: "jwk" }).x as string, "base64url").toString("base64");
const jwks = await call(`${PUBLIC}/.well-known/jwks.json`);
const gatewayKeys = new Map(jwks.keys.map((jwk: Json) => [jwk.kid, createPublicKey({ key: jwk, format: "jwk" })]));
const session: string = (await call(`${PUBLIC}/api/v1/public/sign-in`, { public_key: publicKey })).device_session_id;
console.log(await execute("account.rename", { name: "Ada" }));
console.log(await execute("account.get"));
console.log(await execute("account.rename", { name: "" }));
console.log(await execute("game.report", { game_id: "a/b" }));
await execute("no.such.command").catch((refused) => console.log(refused.message));
