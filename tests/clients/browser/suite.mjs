// The clients of browsers in headless Chromium, from a page of an origin that the gateway does not allow and from one
// that it does. Run by `run`.
import { assert } from "chai";
import { chromium } from "playwright-core";
import { Outcomes } from "./checks.mjs";

const { CHROMIUM, ORIGIN, FOREIGN_ORIGIN, EDGE, EDGE_TLS, GATEWAY_PUBLIC_KEY, SESSION_BUDGET } = process.env;
const PROTOCOLS = { [EDGE]: "http/1.1", [EDGE_TLS]: "h2" };
const SETTINGS = {
  edges: { "HTTP/1.1": EDGE, "HTTP/2": EDGE_TLS },
  gatewayPublicKey: GATEWAY_PUBLIC_KEY,
  budget: Number(SESSION_BUDGET),
};
const FLAGS = [
  "--disable-background-networking", "--disable-component-update", "--disable-gpu", "--disable-quic",
  "--disable-sync", "--no-first-run", "--no-proxy-server",
  // The gateway's is self-signed.
  "--ignore-certificate-errors",
];

/** What a page of this origin counts, and what it has sent: each edge with the protocol of its answers, and each edge
 * that was asked for its leave. */
async function visit(browser, origin, name) {
  const page = await browser.newPage();
  page.on("console", (message) => message.type() === "log" && console.log(message.text()));
  page.on("pageerror", (error) => console.log(`The page failed: ${error.stack}`));
  const seen = { answers: new Set(), preflights: new Set() };
  const network = await page.context().newCDPSession(page);
  network.on("Network.responseReceived", ({ type, response }) => {
    const edge = new URL(response.url).origin;
    if (!(edge in PROTOCOLS)) return;
    seen.answers.add(`${edge} ${response.protocol}`);
    if (type === "Preflight") seen.preflights.add(edge);
  });
  await network.send("Network.enable");
  await page.goto(origin);
  await page.waitForFunction(() => globalThis.visits);
  const outcomes = await page.evaluate(([name, settings]) => globalThis.visits[name](settings), [name, SETTINGS]);
  return { outcomes, seen };
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
console.log(`Chromium ${browser.version()}`);
const foreign = await visit(browser, FOREIGN_ORIGIN, "foreign");
const allowed = await visit(browser, ORIGIN, "allowed");
await browser.close();

const outcomes = new Outcomes();
await outcomes.check("the browser has asked for leave, in the protocols that the checks are named after", () => {
  const { answers, preflights } = allowed.seen;
  assert.sameMembers([...answers], Object.entries(PROTOCOLS).map((spoken) => spoken.join(" ")));
  assert.sameMembers([...preflights], Object.keys(PROTOCOLS));
});
const all = [foreign.outcomes, allowed.outcomes, outcomes];
const [passed, failed] = ["passed", "failed"].map((count) => all.reduce((sum, part) => sum + part[count], 0));
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
