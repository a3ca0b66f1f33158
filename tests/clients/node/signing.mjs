// What is signed and how it is verified, as section 2 of the wire contract has it.
import {
  createHash, createPrivateKey, createPublicKey, sign as ed25519Sign, verify as ed25519Verify,
} from "node:crypto";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

/** The marker and the fields in their order: an int64 (a bigint) as 8 bytes, everything else with its length ahead. */
export function signingInput(marker, ...fields) {
  return Buffer.concat([marker, ...fields].flatMap(encoded));
}

function encoded(field) {
  if (typeof field === "bigint") {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(field);
    return [bytes];
  }
  const bytes = Buffer.from(field);
  return [varint(bytes.length), bytes];
}

/** Unsigned LEB128 in its shortest form. */
function varint(number) {
  const bytes = [];
  for (; number > 0x7f; number >>>= 7) bytes.push((number & 0x7f) | 0x80);
  return Buffer.from([...bytes, number]);
}

export function requestInput(request) {
  return signingInput(
    "edge-request-v1",
    request.protocolVersion,
    request.deviceSessionId,
    request.messageType,
    request.timestampMs,
    request.requestId,
    request.payloadHash,
  );
}

/** Fills in the payload's hash and the signature. */
export function sign(request, key) {
  request.payloadHash = sha256(request.payloadBytes);
  request.signature = ed25519Sign(null, requestInput(request), key);
  return request;
}

/** Throws unless this is the gateway's signed answer to this very request. */
export function verify(answer, request, key) {
  if (answer.protocolVersion !== request.protocolVersion || answer.requestId !== request.requestId) {
    throw new Error("the answer is to another request");
  }
  if (!sha256(answer.payloadBytes).equals(answer.payloadHash)) {
    throw new Error("the payload is not the one that was hashed");
  }
  const input = signingInput(
    "edge-response-v1",
    answer.protocolVersion,
    // The request's own: an answer for another device cannot be passed off as this one's.
    request.deviceSessionId,
    answer.requestId,
    answer.timestampMs,
    answer.resultCode,
    answer.payloadHash,
  );
  if (!ed25519Verify(null, input, key, answer.signature)) throw new Error("the signature is not the gateway's");
}

/** A private key from its raw seed; node reads raw keys only as JWK, which wants the public half beside it. */
export function privateKey(seed, publicKey) {
  const [d, x] = [seed, publicKey].map((bytes) => bytes.toString("base64url"));
  return createPrivateKey({ key: { kty: "OKP", crv: "Ed25519", d, x }, format: "jwk" });
}

export function publicKey(raw) {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") }, format: "jwk" });
}
