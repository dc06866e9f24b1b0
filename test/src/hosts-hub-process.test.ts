/** Hosts whose hub is not in a primary: started by a worker, run by an operator, or in the one process that there is. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Changes, findRedisServer, Program, RedisServer } from "@holdfast/harness";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { type RemoteWorker, type TestCluster, untilServers } from "./harness/cluster.js";
import { HUB_PROGRAM, hubProcesses, untilFound } from "./harness/hub-processes.js";
import { keepTold, told, untilTold } from "./harness/told.js";

const hasRedis = findRedisServer() !== undefined;

type Streams = typeof import("@holdfast/adapter/redis-streams");

let redis: RedisServer;
const start = startsClusters({ sticky: false, hub: false, setUpWorker: keepTold });
const clients = closedAfterEach(new Clients());

/** A broadcast of each reaches the clients of all. */
async function expectOneCluster(workers: readonly RemoteWorker[]): Promise<void> {
  await untilServers(workers, workers.length);
  const all = await Promise.all(workers.map((worker) => clients.connectTo(worker)));
  for (const [number, worker] of workers.entries()) {
    const got = all.map((client) => client.next("hello"));
    await worker.run((ctx, n) => void ctx.io.emit("hello", n), number);
    expect(await Promise.all(got)).toEqual(all.map(() => [number]));
  }
}

describe.skipIf(!hasRedis)("over Redis", () => {
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis?.close());

  // Nobody shall be taken for gone, or Redis for away, because the machine is busy.
  const backplane = (app: string) => ({ url: redis.url, app, lease: 5_000, timeout: 20_000 });

  test("hub processes that workers have started are one cluster with a single process", async () => {
    const workerBackplane = backplane("started");
    const [one, two, three] = await Promise.all([
      start({ workerBackplane }),
      start({ workerBackplane }),
      start({ workerBackplane, single: true }),
    ]);
    const workers = [...one.workers, ...two.workers, ...three.workers];
    await expectOneCluster(workers);
    // The password of Redis would be on its command line.
    const [hub] = hubProcesses(one.directory);
    expect(readFileSync(`/proc/${hub?.pid}/cmdline`, "utf8")).not.toContain("redis://");
    // Another one takes its place, and joins the other hosts again.
    process.kill(hub?.pid ?? 0, "SIGKILL");
    await untilFound("another hub process", () =>
      hubProcesses(one.directory).some(({ pid }) => pid !== hub?.pid),
    );
    await expectOneCluster(workers);
    // The loss of a link is told a moment later, if the process is still there then.
    for (const worker of one.workers) await worker.run((ctx) => ctx.until(() => ctx.store.told.length > 0));
    const lost = ["HOLDFAST_ERR_LINK_LOST"];
    const errors = await Promise.all(workers.map(told));
    expect(errors.map((each) => each.map(({ code }) => code))).toEqual([lost, lost, [], [], []]);
  });

  test("a single process that closes its server and exits leaves nothing unsaid", async () => {
    // A host that only falls silent is missed after its lease.
    const workerBackplane = { ...backplane("single"), lease: 60_000 };
    const [one, two] = await Promise.all([
      start({ workerBackplane, single: true }),
      start({ workerBackplane, single: true }),
    ]);
    const [here, there] = [...one.workers, ...two.workers] as [RemoteWorker, RemoteWorker];
    await untilServers([here, there], 2);
    const client = await clients.connectTo(there);
    await here.run((ctx) => {
      setImmediate(async () => {
        ctx.io.emit("last", "words");
        await ctx.io.close();
        process.exit();
      });
    });
    await client.untilReceived("last");
    await untilServers([there], 1);
  });

  test("hubs that an operator runs are one cluster", async () => {
    const directory = mkdtempSync(join(tmpdir(), "hf-"));
    const paths = ["one", "two"].map((name) => join(directory, `${name}.sock`));
    const env = { ...process.env, HOLDFAST_REDIS_URL: redis.url };
    const hubs = paths.map((path) => Program.node([HUB_PROGRAM, "--path", path, "--app", "run"], { env }));
    try {
      const hosts = await Promise.all(paths.map((path) => start({ adapterOptions: { hub: { path } } })));
      await expectOneCluster(hosts.flatMap(({ workers }) => workers));
      const [hub] = hubs;
      hub?.signal("SIGTERM");
      expect(await hub?.exited).toEqual({ code: 0, signal: null });
      // Its goodbye is heard at once: its members are none of the others' any more.
      await untilServers((hosts[1] as TestCluster).workers, 2);
    } finally {
      await Promise.all(hubs.map((hub) => hub.close()));
      rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
    }
  });

  test("each option of an operator's hub arrives", async () => {
    const directory = mkdtempSync(join(tmpdir(), "hf-"));
    const path = join(directory, "hub.sock");
    const monitor = await createClient({ url: redis.url }).connect();
    const seen = new Changes();
    let commands = "";
    await monitor.monitor((command) => {
      commands += `${command}\n`;
      seen.tell();
    });
    const options = {
      ...{ path, app: "each", "redis-url": redis.url, "redis-lease": 7_777, "redis-timeout": 3_456 },
      ...{ "redis-journal-time": 123_456, "redis-journal-bytes": 2_000_001, "redis-inbox-bytes": 3_000_003 },
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
    const hub = Program.node([HUB_PROGRAM, ...args]);
    const until = (pattern: RegExp) =>
      seen.until(
        () => `${pattern} among\n${commands}`,
        () => pattern.test(commands),
      );
    try {
      // A lease begins; a batch is sent; the lease is renewed, for keys that are kept 10 minutes longer than packets.
      await until(/"hf:\{each\}:" .*"7777"/);
      await start({ workers: 1, adapterOptions: { hub: { path } } });
      await until(/"hf:\{each\}:" .*"3000003" "2000001" "123456"/);
      await until(/"hf:\{each\}:" .*"7777" .*"723456"/);
      redis.stop();
      // Whichever was sent first: a reading may take a second more, for which it waits for something to come.
      await hub.until("a deadline", () => /did not come within [34]456 ms/.test(hub.output));
    } finally {
      redis.resume();
      monitor.destroy();
      await hub.close();
      rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
    }
  });

  test("a hub that has no backplane, or another one, is told of", async () => {
    const workerBackplane = backplane("mine");
    const { a } = await start({ hub: true, workerBackplane });
    const [error] = await untilTold(a);
    expect(error?.code).toBe("HOLDFAST_ERR_INVALID_OPTION");
    expect(error?.message).toContain(
      'was given the backplane "redis-streams mine", but the hub of this process has none',
    );
  });
});

test("what cannot have a backplane says so at once", async () => {
  const cluster = await start({ workers: 1 });
  const texts = await cluster.a.run(async (ctx) => {
    const { createAdapter } = await ctx.import("@holdfast/adapter");
    const { redisStreams } = (await ctx.import("@holdfast/adapter/redis-streams")) as Streams;
    const { createClient } = (await ctx.import("redis")) as typeof import("redis");
    const url = "redis://127.0.0.1:1";
    const attempt = (options: object): string => {
      try {
        createAdapter(options);
        return "";
      } catch (error) {
        const { code, message } = error as { code: string; message: string };
        return `${code} ${message}`;
      }
    };
    return [
      attempt({ backplane: redisStreams({ app: "a", client: createClient({ url }) }) }),
      attempt({ backplane: redisStreams({ app: "a", url }), hub: { path: "/tmp/x" } }),
      // This process has joined without.
      attempt({ backplane: redisStreams({ app: "a", url }) }),
    ];
  });
  expect(texts).toEqual([
    expect.stringMatching(/^HOLDFAST_ERR_INVALID_OPTION .*give it a url instead/),
    expect.stringMatching(/^HOLDFAST_ERR_INVALID_OPTION .*--redis-url and --app/),
    expect.stringMatching(/^HOLDFAST_ERR_INVALID_OPTION .*too late, or twice/),
  ]);
});
