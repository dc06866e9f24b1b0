/**
 * The long recovery workload. Program: `npm run workload -- --seconds 60 --clients 200 --rate 1000`.
 * Ends with status 1 if the checker finds a fault or too few sessions were recovered.
 */
import { parseArgs } from "node:util";
import { check, recoveredShare } from "../harness/history-check.js";
import { runWorkload } from "./recovery-workload.js";

const RECOVERED_AT_LEAST = 0.99;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    workers: { type: "string", default: "4" },
    clients: { type: "string", default: "200" },
    rooms: { type: "string", default: "50" },
    rate: { type: "string", default: "1000" },
    "kill-every-ms": { type: "string", default: "3000" },
    "drop-every-ms": { type: "string", default: "10000" },
    "cuts-off": { type: "boolean", default: false },
    link: { type: "string", default: "pipe" },
    reloads: { type: "string", default: "0" },
  },
});
const result = await runWorkload({
  seconds: Number(values.seconds),
  workers: Number(values.workers),
  clients: Number(values.clients),
  rooms: Number(values.rooms),
  rate: Number(values.rate),
  killEveryMs: Number(values["kill-every-ms"]),
  dropEveryMs: Number(values["drop-every-ms"]),
  cutsOff: values["cuts-off"],
  link: values.link as "pipe" | "ipc" | "unix",
  reloads: Number(values.reloads),
});
const findings = check(result.histories);
const share = recoveredShare(result.histories);
const deliveries = result.histories.reduce((sum, { events }) => sum + events.length, 0);
console.log(
  `${result.messages} messages, ${deliveries} deliveries, ${result.kills} kills, ${result.cuts} cuts, ${result.drops} drops; ` +
    `${result.moves.moved} sessions moved, ${result.moves.lost} lost, ${result.moves.closed} closed; ` +
    `${share.recovered} of ${share.of} reconnections recovered; ` +
    `${findings.length} findings, ${result.faults.length} faults of rooms or data`,
);
for (const finding of findings.slice(0, 20)) console.log(finding);
for (const fault of result.faults.slice(0, 20)) console.log(fault);
const isGood =
  findings.length + result.faults.length === 0 && share.recovered >= share.of * RECOVERED_AT_LEAST;
process.exitCode = isGood ? 0 : 1;
