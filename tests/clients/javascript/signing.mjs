// What is signed and how it is verified, as section 2 of the wire contract has it, with what browsers and Node share.

const { subtle } = crypto;
const ED25519 = "Ed25519";
// PKCS#8 of an Ed25519 key is this and the seed (RFC 8410, section 7).
const PKCS8_PREFIX = [
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

const sha256 = async (bytes) => new Uint8Array(await subtle.digest("SHA-256", bytes));

/** The marker and the fields in their order: an int64 (a bigint) as 8 bytes, everything else with its length ahead. */
export function signingInput(marker, ...fields) {
  return Uint8Array.from([marker, ...fields].flatMap(encoded));
}

function encoded(field) {
  if (typeof field === "bigint") {
    const bytes = new DataView(new ArrayBuffer(8));
    bytes.setBigInt64(0, field);
    return [...new Uint8Array(bytes.buffer)];
  }
  const bytes = typeof field === "string" ? new TextEncoder().encode(field) : field;
  return [...varint(bytes.length), ...bytes];
}

/** Unsigned LEB128 in its shortest form. */
function varint(number) {
  const bytes = [];
  for (; number > 0x7f; number >>>= 7) bytes.push((number & 0x7f) | 0x80);
  return [...bytes, number];
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
export async function sign(request, key) {
  request.payloadHash = await sha256(request.payloadBytes);
  request.signature = new Uint8Array(await subtle.sign(ED25519, key, requestInput(request)));
  return request;
}

/** Throws unless this is the gateway's signed answer to this very request. */
export async function verify(answer, request, key) {
  if (answer.protocolVersion !== request.protocolVersion || answer.requestId !== request.requestId) {
    throw new Error("the answer is to another request");
  }
  const hash = await sha256(answer.payloadBytes);
  if (hash.join() !== answer.payloadHash.join()) throw new Error("the payload is not the one that was hashed");
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
  const holds = await subtle.verify(ED25519, key, answer.signature, input);
  if (!holds) throw new Error("the signature is not the gateway's");
}

/** Throws unless this is an event of the gateway's. Whom it is for is not looked at. */
export async function verifyEvent(event, key) {
  const hash = await sha256(event.payloadBytes);
  if (hash.join() !== event.payloadHash.join()) throw new Error("the payload is not the one that was hashed");
  const input = signingInput(
    "edge-event-v1",
    event.protocolVersion,
    event.eventId,
    event.eventType,
    event.timestampMs,
    event.requestId,
    event.subject,
    event.position,
    event.payloadHash,
  );
  const holds = await subtle.verify(ED25519, key, event.signature, input);
  if (!holds) throw new Error("the signature is not the gateway's");
}

/** A private key from its raw seed. */
export function privateKey(seed) {
  return subtle.importKey("pkcs8", Uint8Array.from([...PKCS8_PREFIX, ...seed]), ED25519, false, ["sign"]);
}

/** A private key that nobody knows. */
export async function strangersKey() {
  return (await subtle.generateKey(ED25519, false, ["sign", "verify"])).privateKey;
}

/** A public key from its 32 bytes. */
export function publicKey(raw) {
  return subtle.importKey("raw", raw, ED25519, false, ["verify"]);
}
