/** Members and a hub's path that will not do: each is told with a code and what to do, and nothing hangs. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, NOBODY, runProgram, skipsWithout } from "@holdfast/harness";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { directoryOf } from "../../packages/adapter/dist/host/application.js";
import { encodeSocketMessage } from "../../packages/adapter/dist/wire/socket-handshake.js";
import { startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { type RemoteWorker, type TestCluster, untilServers } from "./harness/cluster.js";
import { endHubProcesses, hubProcesses } from "./harness/hub-processes.js";

skipsWithout(isRoot, "Only root can be somebody else. Run the tests as root.");

let directory: string;
let path: string;
// The last of all that comes after a test: workers that are left would start another hub.
afterEach(() => {
  endHubProcesses(directory);
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
});
const start = startsClusters({ sticky: false, hub: false });
const clients = new Clients();
const servers: Server[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "hf-"));
  path = join(directory, "hub.sock");
});
afterEach(() => {
  clients.close();
  for (const server of servers.splice(0)) server.close();
});

/** A failure as it is written by default. */
const WARNING = /\[(HOLDFAST_ERR_\w+)\] HoldfastError: (.*)/;

/** The first failure that a worker tells. */
async function told(cluster: TestCluster): Promise<[code: string, text: string]> {
  const [, code = "", text = ""] = await cluster.until("a failure", () => WARNING.exec(cluster.output));
  return [code, text];
}

/** Without a hub, a worker serves its own clients, and no request hangs. */
async function expectAlone(a: RemoteWorker, code: string): Promise<void> {
  const client = await clients.connectTo(a);
  const got = client.next("local");
  const asked = await a.run(async (ctx) => {
    ctx.io.emit("local");
    return ctx.io.fetchSockets().catch((error: { code: string }) => error.code);
  });
  expect(asked).toBe(code);
  await got;
}

async function listen(onConnection: (socket: import("node:net").Socket) => void): Promise<void> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    onConnection(socket);
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(path, done));
}

const at = (place: string) => ({ single: true, adapterOptions: { hub: { path: place } } });

describe("createAdapter({ hub: { path } })", () => {
  test("throws when the path is too long", async () => {
    const { a } = await start({ single: true });
    const error = await a
      .run(
        async (ctx, place) => {
          const { createAdapter } = await ctx.import("@holdfast/adapter");
          createAdapter({ hub: { path: place } });
        },
        `/tmp/${"x".repeat(120)}`,
      )
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "HOLDFAST_ERR_HUB_PATH" });
    expect(error.message).toContain("Choose a shorter one");
  });

  test.each<[string, () => void, string]>([
    ["is no socket", () => writeFileSync(path, ""), "is not a socket"],
    ["is a directory", () => mkdirSync(path), "is not a socket"],
    ["is below a file", () => writeFileSync(directory.concat("/x"), ""), "no directory"],
  ])("tells when the path %s", async (what, make, text) => {
    make();
    const cluster = await start(at(what === "is below a file" ? join(directory, "x", "hub.sock") : path));
    const [code, message] = await told(cluster);
    expect(code).toBe("HOLDFAST_ERR_HUB_PATH");
    expect(message).toContain(text);
    await expectAlone(cluster.a, "HOLDFAST_ERR_HUB_PATH");
  });

  test.skipIf(!isRoot)("does not even connect to another user's socket", async () => {
    let connections = 0;
    await listen(() => connections++);
    chownSync(path, NOBODY, NOBODY);
    // A member that is root itself trusts root alone.
    const cluster = await start(at(path));
    const [code, message] = await told(cluster);
    expect(code).toBe("HOLDFAST_ERR_HUB_PATH");
    expect(message).toContain(`belongs to another user (uid ${NOBODY})`);
    expect(connections).toBe(0);
  });

  test("tells when somebody takes connections and never says a word", async () => {
    await listen(() => {});
    const cluster = await start(at(path));
    const [code, message] = await told(cluster);
    expect(code).toBe("HOLDFAST_ERR_NO_HUB");
    expect(message).toContain("does not answer");
    await expectAlone(cluster.a, "HOLDFAST_ERR_NO_HUB");
  });

  test("tells both versions when the hub is of another one", async () => {
    await listen((socket) =>
      socket.end(encodeSocketMessage({ "holdfast:adapter": "refusal", protocol: 999, version: "9.9.9" })),
    );
    const cluster = await start(at(path));
    const [code, message] = await told(cluster);
    expect(code).toBe("HOLDFAST_ERR_VERSION_MISMATCH");
    expect(message).toMatch(/runs @holdfast\/adapter 9\.9\.9 \(protocol 999\), this process \d+\.\d+\.\d+/);
    await expectAlone(cluster.a, "HOLDFAST_ERR_VERSION_MISMATCH");
  });

  test.each([
    ["nonsense", Buffer.from("HTTP/1.1 200 OK\r\n\r\n")],
    ["a welcome without what belongs in it", encodeSocketMessage({ "holdfast:adapter": "welcome" } as never)],
  ])("goes on alone when the answer is %s", async (_, bytes) => {
    await listen((socket) => socket.end(bytes));
    const cluster = await start(at(path));
    expect((await told(cluster))[0]).toBe("HOLDFAST_ERR_NO_HUB");
    await expectAlone(cluster.a, "HOLDFAST_ERR_NO_HUB");
  });
});

test("a hub process that cannot be started: told why, and tried again", async () => {
  const cluster = await start({
    workers: 1,
    setUpWorker: ({ store }) => {
      store.execPath = process.execPath;
      process.execPath = "/none/node";
    },
  });
  const [code, message] = await told(cluster);
  expect(code).toBe("HOLDFAST_ERR_HUB_START");
  expect(message).toContain("ENOENT");
  expect(message).toContain("npx holdfast-hub");
  await expectAlone(cluster.a, "HOLDFAST_ERR_HUB_START");
  await cluster.a.run((ctx) => {
    process.execPath = ctx.store.execPath;
  });
  const fresh = await cluster.fork();
  await fresh.run((ctx) => {
    process.execPath = ctx.store.execPath;
  });
  await cluster.untilJoined();
});

describe("the rendezvous directory", () => {
  /** As under PM2, so that its name is known beforehand. */
  const pm2 = (name: string) => ({
    TMPDIR: directory,
    XDG_RUNTIME_DIR: "",
    exec_mode: "cluster_mode",
    pm_id: "0",
    name,
    namespace: "default",
    PM2_HOME: "/root/.pm2",
    pm_exec_path: "/srv/app/server.js",
  });

  function placeOf(env: Record<string, string>): string {
    const before = process.env.TMPDIR;
    process.env.TMPDIR = directory;
    try {
      return directoryOf(env);
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
  }

  test("is used by all workers of an application, whatever their parents are", async () => {
    const [one, two] = [await start({ env: pm2("app") }), await start({ env: pm2("app") })];
    await untilServers([...one.workers, ...two.workers], 4);
    const other = await start({ env: pm2("other") });
    await untilServers(other.workers, 2);
    await expect.poll(() => hubProcesses(directory)).toHaveLength(2);
  });

  test.each<[string, (place: string) => void]>([
    ["is open to others", (place) => mkdirSync(place, { mode: 0o755 })],
    ["is a file", (place) => writeFileSync(place, "")],
    ...(isRoot
      ? [
          [
            "belongs to somebody else",
            (place: string) => {
              mkdirSync(place, { mode: 0o700 });
              chownSync(place, NOBODY, NOBODY);
            },
          ] as [string, (place: string) => void],
        ]
      : []),
  ])(
    "is not used when it was laid out beforehand and %s; it is when that is put right",
    async (_, layOut) => {
      const place = placeOf(pm2("app"));
      layOut(place);
      const cluster = await start({ env: pm2("app") });
      const [code, message] = await told(cluster);
      expect(code).toBe("HOLDFAST_ERR_HUB_PATH");
      expect(message).toContain("Remove it, or set XDG_RUNTIME_DIR or TMPDIR");
      await expectAlone(cluster.a, "HOLDFAST_ERR_HUB_PATH");
      rmSync(place, { recursive: true });
      await cluster.untilJoined();
    },
  );

  test("on a full disk: told, and the workers go on alone", async (context) => {
    const mounted = await runProgram("mount", ["-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs", directory]).catch(
      () => undefined,
    );
    if (mounted?.code !== 0) return context.skip("tmpfs cannot be mounted here; run as root");
    try {
      const cluster = await start({ env: pm2("app") });
      const [code, message] = await told(cluster);
      expect(code).toBe("HOLDFAST_ERR_HUB_PATH");
      expect(message).toContain("The file system is full. Make room");
      await expectAlone(cluster.a, "HOLDFAST_ERR_HUB_PATH");
      await cluster.close();
    } finally {
      await runProgram("umount", [directory]);
    }
  });

  test("where there is room for files and not for what is in them: told, nothing is left, tried again", async (context) => {
    const mounted = await runProgram("mount", ["-t", "tmpfs", "-o", "size=4k", "tmpfs", directory]).catch(
      () => undefined,
    );
    if (mounted?.code !== 0) return context.skip("tmpfs cannot be mounted here; run as root");
    const large = join(directory, "large");
    try {
      writeFileSync(large, Buffer.alloc(4_096));
      const cluster = await start({ env: pm2("app"), workers: 1 });
      const [code, message] = await told(cluster);
      expect(code).toBe("HOLDFAST_ERR_HUB_PATH");
      expect(message).toContain("The file system is full. Make room");
      expect(readdirSync(placeOf(pm2("app")))).toEqual([]);
      const open = await cluster.a.run(async (ctx) => {
        const { readdirSync, readlinkSync } = await ctx.import("node:fs");
        return readdirSync("/proc/self/fd").filter((fd) => {
          try {
            return readlinkSync(`/proc/self/fd/${fd}`).includes("hub.starting");
          } catch {
            return false;
          }
        });
      });
      expect(open).toEqual([]);
      await expectAlone(cluster.a, "HOLDFAST_ERR_HUB_PATH");
      rmSync(large);
      await cluster.untilJoined();
      await cluster.close();
    } finally {
      endHubProcesses(directory);
      await runProgram("umount", ["--lazy", directory]);
    }
  });

  test.skipIf(!isRoot)("cannot be entered by another user", async () => {
    chmodSync(directory, 0o755);
    const cluster = await start({ env: pm2("app") });
    await cluster.untilJoined();
    const socket = join(placeOf(pm2("app")), "hub.sock");
    const script = `require("node:net").connect(${JSON.stringify(socket)}).on("error",(e)=>console.log(e.code)).on("connect",()=>console.log("in"))`;
    const { stdout } = await runProgram(process.execPath, ["-e", script], {
      uid: NOBODY,
      gid: NOBODY,
      cwd: "/",
    });
    expect(stdout.trim()).toBe("EACCES");
  });
});
