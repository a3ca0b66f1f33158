// The clients of Node against the gateway at EDGE. Run by `run`.
import { checks, Outcomes, vector1 } from "./checks.mjs";
import { clients } from "./transports.mjs";

const { EDGE, GATEWAY_PUBLIC_KEY, SESSION_BUDGET } = process.env;
const outcomes = new Outcomes();
await outcomes.check("vector 1", vector1);
await outcomes.checkAll(clients(EDGE), await checks(GATEWAY_PUBLIC_KEY, Number(SESSION_BUDGET)));
console.log(`${outcomes.passed} passed, ${outcomes.failed} failed`);
// The clients keep their connections open, so the process would not end by itself.
process.exit(outcomes.failed ? 1 : 0);
