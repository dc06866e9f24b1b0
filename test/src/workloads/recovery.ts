/**
 * The long recovery workload. Program: `npm run workload -- --seconds 60 --clients 200 --rate 1000`; with `--hosts 3`,
 * over several hosts and a Redis server of its own.
 * Ends with status 1 if the checker finds a fault or too few sessions were recovered.
 */
import { parseArgs } from "node:util";
import { check, recoveredShare } from "../harness/history-check.js";
import { runHostsWorkload } from "./hosts-workload.js";
import { noMoves, runWorkload } from "./recovery-workload.js";

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
    "raw-clients": { type: "string", default: "0" },
    hosts: { type: "string", default: "1" },
  },
});
/** One of so many kills is that of a whole host. */
const HOST_EVERY = 5;

const size = {
  clients: Number(values.clients),
  rooms: Number(values.rooms),
  rate: Number(values.rate),
  killEveryMs: Number(values["kill-every-ms"]),
  dropEveryMs: Number(values["drop-every-ms"]),
};
const result = await (Number(values.hosts) > 1 ? overHosts() : onOneHost());

async function overHosts() {
  const hosts = Number(values.hosts);
  const { workerKills, hostKills, ...run } = await runHostsWorkload({
    ...size,
    hosts,
    workersPerHost: Math.max(1, Math.round(Number(values.workers) / hosts)),
    kills: Math.floor((Number(values.seconds) * 1000) / size.killEveryMs),
    hostEvery: HOST_EVERY,
  });
  console.log(`${hosts} hosts, ${hostKills} of them killed`);
  return { ...run, kills: workerKills, cuts: 0, moves: noMoves(), rawDisconnects: 0 };
}

function onOneHost() {
  return runWorkload({
    ...size,
    seconds: Number(values.seconds),
    workers: Number(values.workers),
    cutsOff: values["cuts-off"],
    link: values.link as "pipe" | "ipc" | "unix",
    reloads: Number(values.reloads),
    rawClients: Number(values["raw-clients"]),
    onReload: ({ moved, seconds, memory }) => {
      const after = megabytes(memory.at(-1) ?? 0);
      console.log(
        `${moved} sessions have moved, in ${Math.round(seconds)} s of retire(), ${after} MB are held`,
      );
    },
  });
}

const findings = check(result.histories);
const share = recoveredShare(result.histories);
const deliveries = result.histories.reduce((sum, { events }) => sum + events.length, 0);
console.log(
  `${result.messages} messages, ${deliveries} deliveries, ${result.kills} kills, ${result.cuts} cuts, ${result.drops} drops; ` +
    `${result.moves.moved} sessions moved, ${result.moves.lost} lost, ${result.moves.closed} closed; ` +
    `${share.recovered} of ${share.of} reconnections recovered; ` +
    `${findings.length} findings, ${result.faults.length} faults of rooms or data`,
);
if (result.moves.moved > 0) {
  const { moved, seconds, freezeP50, freezeP99, memory } = result.moves;
  console.log(
    `${Math.round(moved / seconds)} moves a second of retire(); without a worker for ${freezeP50} ms at most (p50), ` +
      `${freezeP99} ms at most (p99); ${result.rawDisconnects} raw clients were cut off; ` +
      `held by the cluster before, and after each reload, MB: ${memory.map(megabytes).join(" ")}`,
  );
}
for (const finding of findings.slice(0, 20)) console.log(finding);
for (const fault of result.faults.slice(0, 20)) console.log(fault);
const isGood =
  findings.length + result.faults.length + result.rawDisconnects === 0 &&
  share.recovered >= share.of * RECOVERED_AT_LEAST;
process.exitCode = isGood ? 0 : 1;

function megabytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
