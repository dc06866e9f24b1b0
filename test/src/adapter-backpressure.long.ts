/**
 * One worker blocked for 20 seconds while another broadcasts 20,000 messages of 1 KB a second: what becomes of the
 * primary's memory, of the latency on the others, and of the blocked one. Takes a minute and two free cores, so it
 * runs only with HOLDFAST_LONG=1; it prints what it measured.
 */
import { within } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { startsClusters } from "./harness/after-each.js";
import type { RemoteWorker, TestCluster } from "./harness/cluster.js";
import type { WorkerContext } from "./harness/context.js";

const MIB = 2 ** 20;
const SECONDS = Number(process.env.HOLDFAST_SECONDS ?? 20);
const RATE = Number(process.env.HOLDFAST_RATE ?? 20_000);

let cluster: TestCluster;
let sender: RemoteWorker;
let victim: RemoteWorker;
let other: RemoteWorker;

const start = startsClusters({ sticky: false, workers: 3 }, async (started) => {
  cluster = started;
  ({ a: sender, b: victim, c: other } = cluster);
  await cluster.untilJoined();
  for (const worker of [victim, other]) await worker.run(listen);
});

/** What the worker keeps in its store. */
interface Heard {
  /** Messages in order and without a gap, and how long each tenth of a second's first one was on its way. */
  next: number;
  gaps: number;
  latencies: number[];
}

/** Counts in the worker what a client there would get, by a socket that needs no network. */
async function listen(ctx: WorkerContext): Promise<void> {
  const heard: Heard = { next: 0, gaps: 0, latencies: [] };
  ctx.store.heard = heard;
  const nsp = ctx.io.of("/");
  const socket = {
    id: "listener",
    // Only what outgoing listeners need: the adapter asks for them before it writes.
    _anyOutgoingListeners: [null],
    notifyOutgoingListeners: ({ data }: { data: unknown[] }) => {
      const [event, n, sentAt] = data as [string, number, number];
      if (event === "last") return ctx.emit("last");
      if (event !== "n") return;
      if (n !== heard.next) heard.gaps++;
      heard.next = n + 1;
      if (n % 2_000 === 0) heard.latencies.push(Date.now() - sentAt);
    },
    client: {
      conn: {
        protocol: 4,
        readyState: "open",
        transport: { writable: true, supportsBinary: true },
        write: () => {},
        flush: () => {},
      },
    },
  };
  nsp.sockets.set("listener" as never, socket as never);
  // Not the room of its own id: with that one a socket connects, and its connection is held for a moment.
  await nsp.adapter.addAll("listener", new Set(["room"]));
}

interface Sent {
  readonly sent: number;
  /** As the worker took it; a machine that is too slow takes longer than was planned. */
  readonly seconds: number;
  /** The most that the primary's process held at any time. */
  readonly peakBytes: number;
  readonly before: number;
}

/** Broadcasts at the rate, or as fast as the hub takes it, and watches the primary meanwhile. */
async function load(): Promise<Sent> {
  const rss = () => cluster.primary.run(() => process.memoryUsage().rss);
  const before = await rss();
  let peakBytes = before;
  let loading = true;
  const watching = (async () => {
    while (loading) {
      peakBytes = Math.max(peakBytes, await rss());
      await new Promise((done) => setTimeout(done, 100));
    }
  })();
  const began = Date.now();
  let sent = 0;
  const slices = SECONDS * 4;
  for (let slice = 0; slice < slices; slice++) {
    sent = await sender.run(
      async (ctx, from, rate) => {
        const text = "x".repeat(1_000);
        const start = Date.now();
        let n = from;
        while (n < from + rate / 4) {
          const due = Math.min(rate / 4, Math.ceil(((Date.now() - start + 5) * rate) / 1_000));
          while (n < from + due) ctx.io.to("room").emit("n", n++, Date.now(), text);
          // The hub's answer: no more is on the way to it than one such portion.
          await ctx.io.of("/").adapter.serverCount();
          await new Promise((done) => setTimeout(done, 1));
        }
        return n;
      },
      sent,
      RATE,
    );
  }
  const seconds = (Date.now() - began) / 1_000;
  loading = false;
  await watching;
  return { sent, seconds, peakBytes, before };
}

async function finish(...workers: RemoteWorker[]): Promise<Heard[]> {
  const last = workers.map((worker) => worker.next("last"));
  await sender.run((ctx) => void ctx.io.to("room").emit("last"));
  await Promise.all(last);
  return Promise.all(workers.map((worker) => worker.run((ctx) => ctx.store.heard as Heard)));
}

function report(title: string, { sent, seconds, peakBytes, before }: Sent, { latencies }: Heard): void {
  const sorted = [...latencies].sort((one, two) => one - two);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)];
  console.log(
    `${title}: ${sent} broadcasts in ${seconds.toFixed(1)} s (${Math.round(sent / seconds)}/s); ` +
      `primary ${Math.round(before / MIB)} MiB before, ${Math.round(peakBytes / MIB)} MiB at most; ` +
      `latency on the other worker p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
  );
}

describe(`${RATE} broadcasts of 1 KB a second for ${SECONDS} s`, () => {
  const timeout = 60_000 + SECONDS * 20_000;

  test("nobody blocked, for comparison", { timeout }, async () => {
    await start({ hubOptions: { maxBacklogBytes: 64 * MIB } });
    const sent = await load();
    const [atVictim, atOther] = (await finish(victim, other)) as [Heard, Heard];
    report("nobody blocked", sent, atOther);
    for (const heard of [atVictim, atOther]) expect([heard.next, heard.gaps]).toEqual([sent.sent, 0]);
  });

  test("one worker blocked past the limit", { timeout }, async () => {
    await start({ hubOptions: { maxBacklogBytes: 64 * MIB } });
    await victim.stop();
    const sent = await load();
    await within(victim.gone, "end of the stalled worker");
    const [atOther] = (await finish(other)) as [Heard];
    report("blocked past 64 MiB", sent, atOther);
    expect([atOther.next, atOther.gaps]).toEqual([sent.sent, 0]);
    // What may wait for one worker, once more for what the garbage collector has not freed.
    expect(sent.peakBytes - sent.before).toBeLessThan(2 * 64 * MIB + 64 * MIB);
  });

  test("one worker blocked, awake before the limit", { timeout }, async () => {
    const limit = Math.ceil((RATE * SECONDS * 1_100) / MIB) * MIB * 2;
    await start({ hubOptions: { maxBacklogBytes: limit } });
    await victim.stop();
    const sent = await load();
    await victim.resume();
    const [atVictim, atOther] = (await finish(victim, other)) as [Heard, Heard];
    report(`blocked, ${limit / MIB} MiB allowed`, sent, atOther);
    for (const heard of [atVictim, atOther]) expect([heard.next, heard.gaps]).toEqual([sent.sent, 0]);
    expect(sent.peakBytes - sent.before).toBeLessThan(2 * limit);
  });
});
