/**
 * Question: how long does a cluster take from its start to the first request that it answers?
 * The two files of the README with 4 workers, against the same application in one process, and in 4 workers of node:cluster
 * that know nothing of each other. The port is asked again and again from the start; the time ends with a 200. The first
 * start is dropped: it fills the system's caches.
 */
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort, Program } from "@holdfast/harness";
import type { Bench, Sample } from "../lib/bench.js";

const WORKERS = 4;
const ASK_EVERY_MS = 4;
const PATIENCE_MS = 30_000;
const PATH = "/socket.io/?EIO=4&transport=polling";
const PROGRAMS: Record<string, URL> = {
  holdfast: new URL("../../../examples/cluster/server.js", import.meta.url),
  "bare-cluster": new URL("../nodes/bare-cluster.js", import.meta.url),
  single: new URL("../nodes/plain.js", import.meta.url),
};

/** @returns the status of the answer; 0 if there is none */
function ask(port: number): Promise<number> {
  return new Promise((resolve) => {
    const asked = request({ port, host: "127.0.0.1", path: PATH, agent: false, family: 4 }, (response) => {
      response.resume();
      response.once("close", () => resolve(response.statusCode ?? 0));
    });
    asked.on("error", () => resolve(0));
    asked.end();
  });
}

async function untilAnswered(port: number): Promise<string[]> {
  const end = performance.now() + PATIENCE_MS;
  while (performance.now() < end) {
    const status = await ask(port);
    if (status === 200) return [];
    if (status !== 0) return [`answered with ${status}`];
    await sleep(ASK_EVERY_MS);
  }
  return [`no answer within ${PATIENCE_MS} ms`];
}

async function sample(contestant: string): Promise<Sample> {
  const port = await freePort();
  const env = { PORT: String(port), WORKERS: String(WORKERS) };
  const file = fileURLToPath(PROGRAMS[contestant] as URL);
  const start = performance.now();
  const program = new Program(process.execPath, [file], { env });
  try {
    const failures = await untilAnswered(port);
    return { failures, values: { answered: performance.now() - start } };
  } finally {
    await program.close();
  }
}

export const startUp: Bench = {
  name: "start-up",
  title: "From the start to the first answer",
  question: "How long does a cluster take from its start to the first request that it answers?",
  method: [
    "The two files of the README with 4 workers, started anew for each round, against the same application in one process with Socket.IO alone.",
    "`bare-cluster` is that application in 4 workers of node:cluster, and answers as soon as one of them listens.",
    "A handshake over long polling is asked for every 4 ms from the start; the time ends with the answer, which must be a 200.",
  ],
  measures: [{ key: "answered", title: "time to the first answer", unit: "ms", better: "lower" }],
  chart: "answered",
  cases: () => [
    {
      title: `${WORKERS} workers`,
      contestants: Object.keys(PROGRAMS),
      comparisons: [
        { of: "holdfast", to: "single", measure: "answered", atMost: 1.5 },
        { of: "holdfast", to: "bare-cluster", measure: "answered" },
        { of: "bare-cluster", to: "single", measure: "answered" },
      ],
      open: async (_, contestant) => ({ sample: () => sample(contestant), close: async () => {} }),
    },
  ],
};
