/** The private directory: where it lies, whose it is, what happens when it goes, and that nothing is left of it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { canRunAsNobody, httpRequest, isRoot, NOBODY, skipsWithout, within } from "@holdfast/harness";
import { expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "../harness/after-each.js";
import type { RemoteWorker, TestCluster } from "../harness/cluster.js";
import type { ClusterConfig } from "../harness/context.js";

const opened = closedAfterEach({
  agents: [] as Agent[],
  homes: [] as string[],
  close() {
    for (const agent of this.agents.splice(0)) agent.destroy();
    for (const home of this.homes.splice(0)) rmSync(home, { recursive: true, force: true });
  },
});

/** A temporary directory of its own, open to all users as such places are. */
function makeHome(): string {
  const home = mkdtempSync(join(tmpdir(), "hf-"));
  chmodSync(home, 0o1777);
  opened.homes.push(home);
  return home;
}

const startCluster = startsClusters(
  { workers: 2, adapter: false, stickyOptions: { loadBalancingMethod: "round-robin" } },
  (cluster) =>
    cluster.primary.run((ctx) => {
      ctx.store.warnings = [];
      ctx.router.on("warning", ({ code }: { code: string }) => {
        ctx.store.warnings.push(code);
        ctx.emit("warning", code);
      });
    }),
);

const start = (env: NodeJS.ProcessEnv, config: ClusterConfig = {}): Promise<TestCluster> =>
  startCluster({ ...config, env });

const warnings = (cluster: TestCluster): Promise<string[]> =>
  cluster.primary.run((ctx) => ctx.store.warnings);

const PATH = "/socket.io/?EIO=4&transport=polling";

interface Answer {
  readonly status: number;
  readonly text: string;
}

function send(cluster: TestCluster, path: string, agent: Agent | false, body?: string): Promise<Answer> {
  const answer = new Promise<Answer>((resolve, reject) => {
    const method = body === undefined ? "GET" : "POST";
    const outgoing = request(cluster.url + path, { agent, method }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
  return within(answer, `answer to ${path}`);
}

interface Seat {
  readonly sid: string;
  readonly agent: Agent;
}

/** For each worker a session, and the one connection that belongs to it. */
async function seats(cluster: TestCluster): Promise<Seat[]> {
  const taken = new Map<string, Seat>();
  while (taken.size < cluster.workers.length) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    opened.agents.push(agent);
    const { text } = await send(cluster, PATH, agent);
    const { sid } = JSON.parse(text.slice(1)) as { sid: string };
    taken.set(sid.slice(0, 10), { sid, agent });
  }
  return [...taken.values()];
}

/** Each worker relays a request to each other one; the answers. */
async function relayAll(cluster: TestCluster, at?: Seat[]): Promise<string[]> {
  const all = at ?? (await seats(cluster));
  const answers: string[] = [];
  for (const { agent } of all) {
    for (const other of all) {
      if (other.agent === agent) continue;
      const { status, text } = await send(cluster, `${PATH}&sid=${other.sid}`, agent, "3");
      answers.push(`${status} ${text}`);
    }
  }
  return answers;
}

/** Waits until something outside of our processes is so. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const met = (async () => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  })();
  await within(met, what);
}

/** A session of that worker, and one of another worker. */
async function seatsOf(cluster: TestCluster, owner: RemoteWorker): Promise<[its: Seat, others: Seat]> {
  const all = await seats(cluster);
  const ids = await owner.run((ctx) => Object.keys((ctx.io.engine as never as { clients: object }).clients));
  const its = all.find(({ sid }) => ids.includes(sid));
  const others = all.find(({ sid }) => !ids.includes(sid));
  if (!its || !others) throw new Error("not a session of each worker");
  return [its, others];
}

const privateDirectories = (home: string): string[] =>
  readdirSync(home)
    .filter((name) => name.startsWith("holdfast-"))
    .map((name) => join(home, name));

function onlyDirectory(home: string): string {
  const [directory, ...others] = privateDirectories(home);
  if (directory === undefined || others.length > 0)
    throw new Error(`not one directory in ${readdirSync(home)}`);
  return directory;
}

const OK = ["200 ok", "200 ok"];

test.each([60, 82, 83, 92, 98, 100, 110, 200])("a TMPDIR of %d bytes", async (bytes) => {
  const home = makeHome();
  const place = join(home, "x".repeat(bytes - home.length - 1));
  mkdirSync(place);
  const cluster = await start({ TMPDIR: place });
  expect(await relayAll(cluster)).toEqual(OK);
  expect(cluster.output).toBe("");
  expect(await warnings(cluster)).toEqual([]);
  // Where the path fits, it is there; nowhere is a socket outside of such a directory.
  expect(privateDirectories(place)).toHaveLength(bytes <= 82 ? 1 : 0);
  expect(readdirSync(home)).toHaveLength(1);
});

test("a TMPDIR that is missing or no directory", async () => {
  const home = makeHome();
  const file = join(home, "file");
  writeFileSync(file, "");
  const runtime = join(home, "runtime");
  mkdirSync(runtime);
  for (const TMPDIR of [join(home, "missing"), file]) {
    const cluster = await start({ TMPDIR, XDG_RUNTIME_DIR: runtime });
    expect(await relayAll(cluster)).toEqual(OK);
    expect(cluster.output).toBe("");
    expect(privateDirectories(runtime)).toHaveLength(1);
    await cluster.close();
    for (const directory of privateDirectories(runtime)) rmSync(directory, { recursive: true });
  }
});

test("a directory that is removed is made anew, whoever has relayed before; it is said once", async () => {
  const home = makeHome();
  const cluster = await start({ TMPDIR: home }, { workers: 3 });
  const all = await seats(cluster);
  const [first, second] = all as [Seat, Seat];
  // One pair has a link already, the others have not.
  expect((await send(cluster, `${PATH}&sid=${second.sid}`, first.agent, "3")).text).toBe("ok");
  const directory = onlyDirectory(home);
  const warned = cluster.primary.next("warning");
  rmSync(directory, { recursive: true });
  expect(new Set(await relayAll(cluster, all))).toEqual(new Set(["200 ok"]));
  expect(await warned).toBe("HOLDFAST_ERR_PRIVATE_DIRECTORY");
  await until(() => readdirSync(directory).length === 4, "all sockets, and the file that names the owner");
  expect(lstatSync(directory).mode & 0o777).toBe(0o700);
  expect(onlyDirectory(home)).toBe(directory);
  expect(await warnings(cluster)).toEqual(["HOLDFAST_ERR_PRIVATE_DIRECTORY"]);
  // And for workers that come later.
  await cluster.worker(0).kill();
  await cluster.fork();
  expect(new Set(await relayAll(cluster))).toEqual(new Set(["200 ok"]));
  expect(cluster.output).toBe("");
});

test("a socket that is removed comes back", async () => {
  const home = makeHome();
  const cluster = await start({ TMPDIR: home });
  const directory = onlyDirectory(home);
  await until(() => existsSync(join(directory, "1")), "socket");
  rmSync(join(directory, "1"));
  await until(() => existsSync(join(directory, "1")), "socket");
  expect(await relayAll(cluster)).toEqual(OK);
});

/** A cluster whose first worker has a session, and whose second one tells when it has not reached another one. */
async function startPair() {
  const home = makeHome();
  const cluster = await start({ TMPDIR: home });
  const [owner, asker] = [cluster.a, cluster.b];
  const path = join(onlyDirectory(home), String(owner.workerId));
  await until(() => existsSync(path), "socket");
  const [seat, other] = await seatsOf(cluster, owner);
  await asker.run(async (ctx) => {
    const { subscribe } = await ctx.import("node:diagnostics_channel");
    subscribe("holdfast:sticky:failure", () => ctx.emit("failure"));
  });
  const ask = () => send(cluster, `${PATH}&sid=${seat.sid}`, other.agent, "3");
  return { cluster, owner, asker, path, ask, sid: seat.sid };
}

type Pair = Awaited<ReturnType<typeof startPair>>;

test.each<[string, (pair: Pair) => unknown]>([
  ["as it is", () => {}],
  ["and its worker takes no new connections", ({ owner }) => owner.run((ctx) => ctx.sticky.close())],
  [
    "and the primary disconnects its worker",
    ({ cluster, owner }) =>
      cluster.primary.run((ctx, id) => void ctx.cluster.workers?.[id]?.disconnect(), owner.workerId),
  ],
  ["and the primary stands still", ({ cluster }) => cluster.primary.stop()],
])("a socket that is removed, %s, costs no session: requests wait until it is back", async (_, prepare) => {
  const pair = await startPair();
  const { cluster, owner, asker, path, ask } = pair;
  await prepare(pair);
  const failed = asker.next("failure");
  // While it stands still it cannot notice.
  await owner.stop();
  rmSync(path);
  const answered = ask();
  await failed;
  await owner.resume();
  expect(await answered).toEqual({ status: 200, text: "ok" });
  await cluster.primary.resume();
});

test("a worker that takes no new connections hears that the directory is another one", async () => {
  const { cluster, owner, path, ask } = await startPair();
  await owner.run((ctx) => ctx.sticky.close());
  const directory = dirname(path);
  const warned = cluster.primary.next("warning");
  rmSync(directory, { recursive: true });
  writeFileSync(directory, "in its place");
  expect(await warned).toMatch(/^HOLDFAST_ERR_PRIVATE_/);
  expect(await ask()).toEqual({ status: 200, text: "ok" });
});

const closeServer = (worker: RemoteWorker) =>
  worker.run((ctx) => {
    const closed = new Promise((resolve) => ctx.httpServer.close(resolve));
    ctx.httpServer.closeAllConnections();
    return closed.then(() => {});
  });
const closeRouter = ({ cluster }: Pair) => cluster.primary.run((ctx) => ctx.router.close());
const openRouter = ({ cluster }: Pair) =>
  cluster.primary.run(async (ctx) => {
    const { setupPrimary } = await ctx.import("@holdfast/sticky");
    setupPrimary(ctx.httpServer);
  });

test.each<[string, (pair: Pair) => unknown]>([
  ["its servers are closed", ({ owner }) => closeServer(owner)],
  [
    "its servers are closed when it has no channel any more",
    async ({ owner }) => {
      await owner.run((ctx) => {
        const disconnected = new Promise<void>((resolve) => process.once("disconnect", resolve));
        ctx.cluster.worker?.disconnect();
        return disconnected;
      });
      await closeServer(owner);
    },
  ],
  [
    "its servers are closed when there is no router, and one comes later",
    async (pair) => {
      await closeRouter(pair);
      await closeServer(pair.owner);
      await openRouter(pair);
    },
  ],
  [
    "its servers are closed while the last router is closed, and one comes later",
    async (pair) => {
      await pair.owner.stop();
      await closeRouter(pair);
      const closed = closeServer(pair.owner);
      await pair.owner.resume();
      await closed;
      await openRouter(pair);
    },
  ],
  ["it was killed", ({ owner }) => owner.kill()],
  [
    "it was killed when there is no router",
    async (pair) => {
      await closeRouter(pair);
      await pair.owner.kill();
    },
  ],
])("sessions of a worker are unknown when %s", async (_, prepare) => {
  const pair = await startPair();
  await prepare(pair);
  expect((await pair.ask()).status).toBe(400);
});

test("a worker that has closed its servers, and opens another one when there is no router, asks nobody", async () => {
  const pair = await startPair();
  const { owner, asker, sid } = pair;
  await closeServer(asker);
  await closeRouter(pair);
  const port = await asker.run(async (ctx) => {
    const [{ createServer }, { Server }, { setupWorker }] = await Promise.all([
      ctx.import("node:http"),
      ctx.import("socket.io"),
      ctx.import("@holdfast/sticky"),
    ]);
    const server = createServer();
    setupWorker(new Server(server), { name: "another" });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return (server.address() as { port: number }).port;
  });
  await owner.kill();
  const { status } = await httpRequest(`http://127.0.0.1:${port}${PATH}&sid=${sid}`);
  expect(status).toBe(400);
});

test("somebody else at a worker's socket: it is said, and requests wait until the worker has it back", async () => {
  const { cluster, owner, path, ask } = await startPair();
  // While it stands still it cannot notice.
  await owner.stop();
  rmSync(path);
  const stranger = createServer(
    (socket) =>
      void socket
        .on("error", () => {})
        .resume()
        .end("nonsense\r\n\r\n"),
  );
  stranger.listen(path);
  await once(stranger, "listening");
  const warned = cluster.primary.next("warning");
  const answered = ask();
  expect(await warned).toBe("HOLDFAST_ERR_PRIVATE_SOCKET");
  const noticed = cluster.primary.next("warning");
  await owner.resume();
  expect(await noticed).toBe("HOLDFAST_ERR_PRIVATE_DIRECTORY");
  expect((await answered).text).toBe("ok");
  stranger.close();
});

test("a worker that is killed leaves no socket", async () => {
  const home = makeHome();
  const cluster = await start({ TMPDIR: home });
  const directory = onlyDirectory(home);
  const victim = cluster.worker(0);
  await until(() => existsSync(join(directory, String(victim.workerId))), "socket");
  await victim.kill();
  await until(() => !existsSync(join(directory, String(victim.workerId))), "end of the socket");
});

skipsWithout(isRoot, "Only root can be somebody else. Run the tests as root.");
const asRoot = test.skipIf(!isRoot);
/** The workers' whole program must be readable for others. */
const withOthers = test.skipIf(!canRunAsNobody());

asRoot("a directory that somebody else lays out in its place is not used", async () => {
  const home = makeHome();
  const cluster = await start({ TMPDIR: home, XDG_RUNTIME_DIR: "" });
  const directory = onlyDirectory(home);
  const all = await seats(cluster);
  rmSync(directory, { recursive: true });
  mkdirSync(directory, { mode: 0o777 });
  chownSync(directory, NOBODY, NOBODY);
  expect(await relayAll(cluster, all)).toEqual(OK);
  expect(readdirSync(directory)).toEqual([]);
  expect(lstatSync(directory).uid).toBe(NOBODY);
});

withOthers("workers that were started as another user", async () => {
  const cluster = await start({ TMPDIR: makeHome() }, { workers: 0 });
  await cluster.primary.run((ctx, uid) => ctx.cluster.setupPrimary({ uid, gid: uid }), NOBODY);
  await cluster.fork();
  await cluster.fork();
  expect(await cluster.worker(0).run(() => process.geteuid?.())).toBe(NOBODY);
  expect(await relayAll(cluster)).toEqual(OK);
  expect(await warnings(cluster)).toEqual([]);
  expect(cluster.output).toBe("");
});

asRoot("workers that give up their rights after they were set up", async () => {
  const cluster = await start({ TMPDIR: makeHome() });
  for (const worker of cluster.workers) await worker.run((_, uid) => process.setuid?.(uid), NOBODY);
  expect(await relayAll(cluster)).toEqual(OK);
  expect(await warnings(cluster)).toEqual([]);
  expect(cluster.output).toBe("");
});

asRoot("workers of several users: it is said, and strays are answered", { timeout: 60_000 }, async () => {
  const home = makeHome();
  const cluster = await start({ TMPDIR: home });
  const directory = onlyDirectory(home);
  const warned = cluster.primary.next("warning");
  for (const [i, worker] of cluster.workers.entries()) {
    await worker.run((_, uid) => process.setuid?.(uid), NOBODY - i);
  }
  await cluster.primary.run(async (ctx) => {
    const { subscribe } = await ctx.import("node:diagnostics_channel");
    ctx.store.troubles = 0;
    subscribe("holdfast:sticky:failure", () => ctx.store.troubles++);
  });
  for (let round = 0; round < 3; round++)
    expect([...(await relayAll(cluster))].sort()).toContainEqual(expect.stringMatching(/^503 /));
  expect(await warned).toBe("HOLDFAST_ERR_WORKER_USER");
  // Nobody else has to go for them, and they do not ask again and again.
  expect(onlyDirectory(home)).toBe(directory);
  expect(await cluster.primary.run((ctx) => ctx.store.troubles)).toBeLessThan(10);
  expect(await warnings(cluster)).not.toContain("HOLDFAST_ERR_PRIVATE_SOCKET");
});

withOthers("a primary that gives up its rights before it forks", async () => {
  const cluster = await startAsNobody({ TMPDIR: makeHome() });
  expect(await warnings(cluster)).toEqual([]);
});

/** Primary and workers of a user that is not root, whom file modes concern. */
async function startAsNobody(env: NodeJS.ProcessEnv): Promise<TestCluster> {
  const cluster = await start(env, { workers: 0 });
  await cluster.primary.run((_, uid) => {
    process.setgid?.(uid);
    process.setuid?.(uid);
  }, NOBODY);
  await cluster.fork();
  await cluster.fork();
  expect(await relayAll(cluster)).toEqual(OK);
  return cluster;
}

async function startWithOwnDirectory(): Promise<[TestCluster, directory: string]> {
  // The directory in the first place is root's.
  const second = makeHome();
  const cluster = await startAsNobody({ TMPDIR: makeHome(), XDG_RUNTIME_DIR: second });
  return [cluster, onlyDirectory(second)];
}

withOthers("a directory that its own user may not write to: it is said, and another is made", async () => {
  const [cluster, directory] = await startWithOwnDirectory();
  const warned = cluster.primary.next("warning");
  chmodSync(directory, 0o500);
  // A worker that comes now can open no socket.
  await cluster.fork();
  expect(await warned).toBe("HOLDFAST_ERR_PRIVATE_SOCKET");
  expect(new Set(await relayAll(cluster))).toEqual(new Set(["200 ok"]));
  expect(await warnings(cluster)).toEqual(["HOLDFAST_ERR_PRIVATE_SOCKET"]);
  expect(cluster.output).toBe("");
});

withOthers("sockets that workers may not connect to: it is said, and others are opened", async () => {
  const [cluster, directory] = await startWithOwnDirectory();
  // Those that come now have no links yet.
  await cluster.fork();
  await cluster.fork();
  for (const worker of cluster.workers) {
    const path = join(directory, String(worker.workerId));
    await until(() => existsSync(path), "socket");
    chmodSync(path, 0);
  }
  const warned = cluster.primary.next("warning");
  expect(new Set(await relayAll(cluster))).toEqual(new Set(["200 ok"]));
  expect(await warned).toBe("HOLDFAST_ERR_PRIVATE_SOCKET");
  expect(cluster.output).toBe("");
});

const full = mkdtempSync(join(tmpdir(), "hf-full-"));
const canMount = isRoot && spawnSync("mount", ["-t", "tmpfs", "tmpfs", full]).status === 0;
if (canMount) spawnSync("umount", [full]);
rmSync(full, { recursive: true });
skipsWithout(canMount, "A tmpfs cannot be mounted here. Run the tests as root, where mounts are allowed.");

test.runIf(canMount).each([
  ["a full disk", "nr_inodes=4", "HOLDFAST_ERR_PRIVATE_SOCKET"],
  ["a disk that is read-only from the beginning", "ro", undefined],
])("%s: another place is taken", async (_, options, code) => {
  const [home, runtime] = [makeHome(), makeHome()];
  spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", home]);
  try {
    const cluster = await start({ TMPDIR: home, XDG_RUNTIME_DIR: runtime }, { workers: 0 });
    const warned = code && cluster.primary.next("warning");
    // On the full one, there is room for the directory, the file in it, and one socket.
    await cluster.fork();
    await cluster.fork();
    expect(await warned).toBe(code);
    expect(await relayAll(cluster)).toEqual(OK);
    expect(readdirSync(home)).toEqual([]);
    expect(privateDirectories(runtime)).toHaveLength(1);
    expect(await warnings(cluster)).toEqual(code ? [code] : []);
    expect(cluster.output).toBe("");
  } finally {
    spawnSync("umount", ["--lazy", home]);
  }
});

const PROGRAM = fileURLToPath(new URL("../../dist/fixtures/plain-cluster.js", import.meta.url));

/** Starts the program in a process group of its own. */
async function startProgram(home: string): Promise<ChildProcess & { pid: number }> {
  const child = spawn(process.execPath, [PROGRAM], {
    detached: true,
    env: { ...process.env, TMPDIR: home },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await within(once(child.stdout, "data"), "start of the program");
  return child as ChildProcess & { pid: number };
}

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
  "%s leaves nothing behind, whoever gets it",
  async (signal) => {
    const home = makeHome();
    for (const everybody of [true, false]) {
      const program = await startProgram(home);
      expect(privateDirectories(home)).toHaveLength(1);
      const exited = once(program, "exit");
      process.kill(everybody ? -program.pid : program.pid, signal);
      expect(await within(exited, "end of the program")).toEqual([null, signal]);
      await until(() => readdirSync(home).length === 0, "empty directory");
    }
  },
);

test("SIGKILL of the primary: the workers remove it; of everybody: the next start does", async () => {
  const home = makeHome();
  const first = await startProgram(home);
  process.kill(first.pid, "SIGKILL");
  await until(() => readdirSync(home).length === 0, "empty directory");
  const second = await startProgram(home);
  const killed = once(second, "exit");
  process.kill(-second.pid, "SIGKILL");
  await within(killed, "end of the program");
  const left = onlyDirectory(home);
  const third = await startProgram(home);
  await until(() => !existsSync(left), "end of the directory that was left");
  expect(dirname(onlyDirectory(home))).toBe(home);
  const ended = once(third, "exit");
  process.kill(-third.pid, "SIGTERM");
  await within(ended, "end of the program");
});
