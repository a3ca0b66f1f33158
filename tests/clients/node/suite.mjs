// The clients of Node against the gateway at EDGE. Run by `run`.
import { WebSocket as Ws } from "ws";
import { checks, Outcomes, vector1 } from "./checks.mjs";
import { subscribers } from "./subscribers.mjs";
import { clients } from "./transports.mjs";

const { EDGE, GATEWAY_PUBLIC_KEY, SESSION_BUDGET } = process.env;
const outcomes = new Outcomes();
await outcomes.check("vector 1", vector1);
const rpcClients = clients(EDGE);
const sockets = { ws: Ws, "Node's WebSocket": WebSocket };
const all = [...rpcClients, ...subscribers(EDGE, rpcClients[0], sockets, "Node's fetch")];
await outcomes.checkAll(all, await checks(GATEWAY_PUBLIC_KEY, Number(SESSION_BUDGET)));
console.log(`${outcomes.passed} passed, ${outcomes.failed} failed`);
// The clients keep their connections open, so the process would not end by itself.
process.exit(outcomes.failed ? 1 : 0);
