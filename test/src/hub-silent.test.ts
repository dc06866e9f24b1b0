/** A hub whose process stands still: its members are told, new clients connect, and nothing is lost when it goes on. */
import { type TestContext, test } from "vitest";
import { TestCluster, untilServers } from "./harness/cluster.js";
import type { ClusterConfig, WorkerContext } from "./harness/context.js";
import { hubProcesses } from "./harness/hub-processes.js";
import { RecoveringClients } from "./harness/recovering-client.js";

/** Longer than a hub may be silent. */
const STOOD_STILL_MS = 15_000;

interface SetUp {
  readonly name: string;
  readonly config: ClusterConfig;
  pidOf(cluster: TestCluster): number;
  /** What the error says of where the hub is. */
  placeOf(cluster: TestCluster): string;
}

const PROCESS: SetUp = {
  name: "a hub process",
  config: { hub: false },
  pidOf: ({ directory }) => hubProcesses(directory)[0]?.pid ?? 0,
  placeOf: ({ directory }) => `at "${directory}/`,
};

const [PIPE, IPC, UNIX] = (["pipe", "ipc", "unix"] as const).map(
  (link): SetUp => ({
    name: `a primary over ${link}`,
    config: { hubOptions: { link } },
    pidOf: ({ primary }) => primary.pid,
    placeOf: ({ primary, directory }) =>
      link === "unix" ? `at "${directory}/` : `in the primary (pid ${primary.pid})`,
  }),
) as [SetUp, SetUp, SetUp];

const RECOVERY = { io: { connectionStateRecovery: {} } };

/** Most of the time is spent with waiting for ten seconds of silence: the tests do so together. */
async function start(
  config: ClusterConfig,
  { onTestFinished }: TestContext,
): Promise<{ cluster: TestCluster; clients: RecoveringClients }> {
  const adapterOptions = { requestsTimeout: 1_000_000 };
  const cluster = await TestCluster.start({ sticky: false, setUpWorker, adapterOptions, ...config });
  const clients = new RecoveringClients();
  onTestFinished(async () => {
    clients.close();
    await cluster.close();
  });
  await cluster.untilJoined();
  return { cluster, clients };
}

function setUpWorker({ store, io }: WorkerContext): void {
  store.errors = [];
  store.settled = [];
  // What `onError` does by default.
  process.on("warning", (warning) => {
    const { code } = warning as { code?: string };
    store.errors.push([code, warning.message]);
  });
  io.on("connection", (socket) => {
    socket.on("ask", (answer: (workerPid: number) => void) => answer(process.pid));
  });
}

const errorsOf = ({ workers }: TestCluster) =>
  Promise.all(workers.map((worker) => worker.run((ctx) => ctx.store.errors as [string, string][])));

async function untilTold({ workers }: TestCluster): Promise<void> {
  const untilError = (ctx: WorkerContext) => ctx.until(() => ctx.store.errors.length > 0);
  await Promise.all(workers.map((worker) => worker.run(untilError)));
}

/** Makes what waits for the hub, and notes when it is done. */
function joinAndAsk({ io, store }: WorkerContext, id: string): void {
  const settle = (what: string) => () => void store.settled.push(what);
  const settled = [
    Promise.resolve(io.sockets.sockets.get(id)?.join("tea")).then(settle("join")),
    io.fetchSockets().then((sockets) => {
      store.ids = sockets.map((socket) => socket.id);
      settle("sockets")();
    }),
  ];
  store.all = Promise.all(settled);
}

test.concurrent.for([PROCESS, PIPE, IPC, UNIX])(
  "$name: members are told once, new clients connect, all that waited is done when it goes on",
  async ({ config, pidOf, placeOf }, context) => {
    const { expect } = context;
    const { cluster, clients } = await start({ ...config, ...RECOVERY }, context);
    const { a, b } = cluster;
    const returning = await clients.connect(a.url);
    const staying = await clients.connect(a.url);
    await b.run((ctx) => void ctx.io.emit("before"));
    await Promise.all([returning.has("before"), staying.has("before")]);
    const { id } = returning;

    const hub = pidOf(cluster);
    process.kill(hub, "SIGSTOP");
    await a.run((ctx) => void ctx.io.emit("n", 1));
    await a.run(joinAndAsk, staying.id);
    const back = returning.drop(b.url);
    const early = await clients.connect(b.url);
    await untilTold(cluster);
    const late = await clients.connect(b.url);
    for (const client of [early, late]) expect(await client.socket.emitWithAck("ask")).toBe(b.pid);
    await b.run((ctx) => void ctx.io.emit("n", 2));
    expect(await a.run((ctx) => ctx.store.settled)).toEqual([]);
    expect(returning.connects).toHaveLength(1);
    for (const errors of await errorsOf(cluster)) {
      expect(errors.map(([code]) => code)).toEqual(["HOLDFAST_ERR_NO_HUB"]);
      expect(errors[0]?.[1]).toContain(placeOf(cluster));
    }

    process.kill(hub, "SIGCONT");
    expect(await back).toEqual({ id, recovered: true });
    const ids = await a.run(async ({ store }) => {
      await store.all;
      return store.ids as string[];
    });
    expect(ids).toEqual(expect.arrayContaining([staying.id, early.id, late.id]));
    // Both workers know where the new ones are.
    await a.run((ctx, sid) => void ctx.io.to(sid).emit("to", sid), early.id);
    await early.has("to", early.id);
    await b.run((ctx) => void ctx.io.to("tea").emit("tea"));
    await staying.has("tea");
    for (const worker of [a, b]) await worker.run((ctx, pid) => void ctx.io.emit("fence", pid), worker.pid);
    for (const client of clients.all) {
      await Promise.all([client.has("fence", a.pid), client.has("fence", b.pid)]);
    }
    const order = staying.of("n");
    expect([...order].sort()).toEqual([[1], [2]]);
    expect(returning.of("n")).toEqual(order);
    // The first was made before they came, on another worker.
    for (const client of [early, late]) {
      expect(client.of("n").filter(([n]) => n === 2)).toEqual([[2]]);
      expect(client.of("n").length).toBeLessThanOrEqual(2);
    }
    for (const errors of await errorsOf(cluster)) expect(errors).toHaveLength(1);
  },
);

test.concurrent("without recovery, a worker's own clients get what it sends meanwhile", async (context) => {
  const { expect } = context;
  const { cluster, clients } = await start(PIPE.config, context);
  const { a, b, primary } = cluster;
  const there = await clients.connect(b.url);
  await primary.stop();
  await untilTold(cluster);
  const here = await clients.connect(a.url);
  await a.run((ctx) => void ctx.io.emit("n"));
  await here.has("n");
  expect(there.received).toEqual([]);
  await primary.resume();
  await there.has("n");
  await untilServers([a, b], 2);
  expect([here.received, there.received]).toEqual([[["n"]], [["n"]]]);
});

test.concurrent.for([PROCESS, PIPE, IPC])(
  "$name: a worker that stands still itself, and one that is idle meanwhile, are told nothing",
  async ({ config }, context) => {
    const { expect } = context;
    const { cluster } = await start({ ...config, workers: 3 }, context);
    const { a, b } = cluster;
    const twoTicks = () => new Promise((done) => setTimeout(done, 2_000));
    // What the hub has said before counts no more.
    await a.run(twoTicks);
    await a.stop();
    const blocked = b.run((_, ms) => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    }, STOOD_STILL_MS);
    await new Promise((done) => setTimeout(done, STOOD_STILL_MS));
    await Promise.all([blocked, a.resume()]);
    // What is late by then is told at the next tick.
    await Promise.all(cluster.workers.map((worker) => worker.run(twoTicks)));
    expect(await errorsOf(cluster)).toEqual([[], [], []]);
  },
);
