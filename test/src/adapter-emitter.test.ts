/** What the primary itself can emit, ask and change, through `setupPrimary().emitter()`. */
import { within } from "@holdfast/harness";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { Clients } from "./harness/clients.js";
import { type RemoteWorker, TestCluster } from "./harness/cluster.js";

let cluster: TestCluster;
let a: RemoteWorker;
let b: RemoteWorker;
const clients = new Clients();

beforeAll(async () => {
  cluster = await TestCluster.start({ sticky: false, workers: 2 });
  ({ a, b } = cluster);
});
afterEach(() => {
  clients.close();
  expect(cluster.output).toBe("");
});
afterAll(() => cluster.close());

test("broadcasts reach the clients of all workers, by room and namespace", async () => {
  const [one, two] = [await clients.connectTo(a), await clients.connectTo(b)];
  await b.run((ctx, id) => ctx.io.sockets.sockets.get(id)?.join("r"), two.id);
  const all = [one, two].map((client) => client.next("all"));
  const binary = two.next("room");
  await cluster.primary.run((ctx) => {
    const emitter = ctx.hub.emitter();
    emitter.to("r").emit("room", Buffer.from([1, 2]));
    emitter.emit("all", { from: "primary" });
  });
  expect(await Promise.all(all)).toEqual(Array(2).fill([{ from: "primary" }]));
  expect(await binary).toEqual([Buffer.from([1, 2])]);
  expect(one.received("room")).toEqual([]);
});

test("socketsJoin, then a broadcast to the room, then socketsLeave and disconnectSockets", async () => {
  const [one, two] = [await clients.connectTo(a), await clients.connectTo(b)];
  const got = [one, two].map((client) => client.next("joined"));
  const gone = [one, two].map(
    (client) => new Promise((resolve) => client.socket.once("disconnect", resolve)),
  );
  const fence = [one, two].map((client) => client.next("fence"));
  await cluster.primary.run((ctx) => {
    const emitter = ctx.hub.emitter();
    emitter.socketsJoin("x");
    emitter.to("x").emit("joined");
    emitter.socketsLeave("x");
    emitter.to("x").emit("left");
    emitter.emit("fence");
    emitter.disconnectSockets();
  });
  await Promise.all([...got, ...fence]);
  expect(await within(Promise.all(gone), "disconnects")).toEqual(Array(2).fill("io server disconnect"));
  expect([one, two].map((client) => client.received("left"))).toEqual([[], []]);
});

test("fetchSockets, serverSideEmit and acknowledgements bring the workers' answers", async () => {
  const [one, two] = [await clients.connectTo(a), await clients.connectTo(b)];
  for (const worker of [a, b]) {
    await worker.run((ctx) => void ctx.io.on("pid", (answer: (pid: number) => void) => answer(process.pid)));
  }
  one.socket.on("ask", (answer: (value: string) => void) => answer("one"));
  two.socket.on("ask", (answer: (value: string) => void) => answer("two"));
  const result = await cluster.primary.run(async (ctx) => {
    const emitter = ctx.hub.emitter();
    return {
      ids: (await emitter.fetchSockets()).map(({ id }: { id: string }) => id).sort(),
      pids: (await emitter.serverSideEmitWithAck("pid")).sort(),
      answers: (await emitter.timeout(20_000).emitWithAck("ask")).sort(),
    };
  });
  expect(result).toEqual({
    ids: [one.id, two.id].sort(),
    pids: [a.pid, b.pid].sort(),
    answers: ["one", "two"],
  });
});

test("the primary is not counted as a server and gets no requests", async () => {
  await cluster.primary.run((ctx) => void ctx.hub.emitter("/").emit("open"));
  expect(await a.run((ctx) => ctx.io.of("/").adapter.serverCount())).toBe(2);
  expect(await a.run((ctx) => ctx.io.fetchSockets())).toEqual([]);
  const members = await cluster.primary.run((ctx) => ctx.hub.stats().members.length);
  expect(members).toBe(2);
});

test.each([
  [{ parser: 1 }, 'The option "parser" of emitter() must be an object with an Encoder and a Decoder, not 1.'],
  [{ scope: 1 }, 'The option "scope" of emitter() must be a string, not 1.'],
  [{ room: "a" }, 'emitter() has no option "room"; it knows scope, parser.'],
])("an option that is wrong is refused at the call: %j", async (options, message) => {
  const thrown = await cluster.primary.run((ctx, given) => {
    try {
      ctx.hub.emitter("/", given as never);
      return "nothing";
    } catch (error) {
      const { code, message: text } = error as NodeJS.ErrnoException;
      return { code, message: text };
    }
  }, options);
  expect(thrown).toEqual({ code: "HOLDFAST_ERR_INVALID_OPTION", message });
});

test("a namespace that no worker has: nothing happens, and requests are answered by nobody", async () => {
  expect(
    await cluster.primary.run(async (ctx) => {
      const emitter = ctx.hub.emitter("/nobody");
      return [await emitter.fetchSockets(), await emitter.timeout(20_000).emitWithAck("ask")];
    }),
  ).toEqual([[], []]);
  // The namespace keeps its id for the emitter while workers come and go in it.
  for (const worker of [a, b]) await worker.run((ctx) => void ctx.io.of("/nobody"));
  const client = await clients.connectTo(a, {}, "/nobody");
  const got = client.next("now");
  await cluster.primary.run((ctx) => void ctx.hub.emitter("/nobody").emit("now"));
  await got;
});

test("learns from the hub which namespaces keep their packets for recovery, whoever opened them first", async () => {
  const recovering = await TestCluster.start({
    workers: 1,
    sticky: false,
    io: { connectionStateRecovery: {} },
  });
  onTestFinished(() => recovering.close());
  const kept = () => recovering.primary.run((ctx) => ctx.hub.stats().recovery.packets as number);
  await recovering.primary.run(async (ctx) => {
    ctx.store.late = ctx.hub.emitter("/late");
    ctx.store.late.emit("m");
    await ctx.store.late.fetchSockets();
  });
  expect(await kept()).toBe(0);
  await recovering.worker(0).run((ctx) => ctx.io.of("/late").adapter.serverCount());
  await recovering.primary.run(async (ctx) => {
    await ctx.store.late.fetchSockets();
    ctx.store.late.emit("m");
    await ctx.store.late.fetchSockets();
  });
  expect(await kept()).toBe(1);

  const client = await clients.connectTo(recovering.worker(0));
  const got = client.next("list");
  await recovering.primary.run((ctx) => {
    const list = [1];
    // The first call for "/": the hub has not said yet that its servers have recovery.
    ctx.hub.emitter().emit("list", list);
    list.push(2);
  });
  expect(await got).toEqual([[1]]);
  expect(await kept()).toBe(2);
});
