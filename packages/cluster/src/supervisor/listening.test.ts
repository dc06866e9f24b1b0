/** A path at which a process that is gone has left its socket, and several that want it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  utimesSync,
} from "node:fs";
import net, { connect, createServer, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { skipsWithout } from "../../../../harness/dist/find-program.js";
import { isRoot, NOBODY } from "../../../../harness/dist/other-user.js";
import { MAX_SOCKET_PATH_BYTES } from "../../dist/control/socket-file.js";
import { cannotListen } from "../../dist/supervisor/listen-error.js";
import { listen } from "../../dist/supervisor/listening.js";

const LISTENING = new URL("../../dist/supervisor/listening.js", import.meta.url).href;
skipsWithout(isRoot, "Only root can give files to somebody else. Run the tests as root.");

let directory = "";
const servers: Server[] = [];
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "hf-"));
});

afterEach(() => {
  vi.restoreAllMocks();
  for (const server of servers.splice(0)) server.close();
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(directory, { recursive: true });
});

/** One that tells everybody its name. */
function named(name: string): Server {
  // Who only looks whether somebody is there has hung up by then.
  const server = createServer((caller) => caller.on("error", () => {}).end(name));
  servers.push(server);
  return server;
}

/** Leaves a socket on which nobody listens, as a process does that is killed some time after its start. */
async function leave(path: string): Promise<void> {
  const bound = join(directory, "bound");
  const server = createServer().listen(bound);
  await once(server, "listening");
  linkSync(bound, path);
  utimesSync(path, 0, 0);
  server.close();
}

/** A socket that is bound; `listen()` takes it. This is how Node.js itself makes one. */
function bind(path: string): object {
  const { _createServerHandle } = net as unknown as {
    _createServerHandle(path: string, port: -1, addressType: -1): object;
  };
  return _createServerHandle(path, -1, -1);
}

function at(path: string): { port: number; host: undefined; path: string } {
  return { port: 0, host: undefined, path };
}

/** Calls `then` when this process is refused by a socket for the first time, before whoever has asked hears of it. */
function onceRefused(then: () => void): void {
  const { connect } = Socket.prototype;
  vi.spyOn(Socket.prototype, "connect").mockImplementationOnce(function (this: Socket, ...args: unknown[]) {
    this.once("error", then);
    return connect.apply(this, args as Parameters<typeof connect>);
  });
}

/** When this process asks at a ticket whether somebody is there. */
function asksAtTicket(): Promise<void> {
  const { connect } = Socket.prototype;
  return new Promise((resolve) => {
    vi.spyOn(Socket.prototype, "connect").mockImplementation(function (this: Socket, ...args: unknown[]) {
      if (/\.hf-[^/]*\.t"/.test(JSON.stringify(args))) resolve();
      return connect.apply(this, args as Parameters<typeof connect>);
    });
  });
}

/** Stands still when it is about to remove what was left, until it is told something. */
const STANDS_STILL = `(at, name, path) => {
  if (name !== "unlinkSync" || path !== process.argv[1]) return;
  fs.writeSync(1, "stands still\\n");
  fs.readSync(0, Buffer.alloc(1));
}`;

/**
 * Another process that wants the path, named "first".
 * @param onStep source of a function that it calls before each change that it makes in the directory
 */
function comer(path: string, onStep: string) {
  const script = `
    import fs from "node:fs";
    import { syncBuiltinESMExports } from "node:module";
    import { createServer, Server } from "node:net";
    const onStep = ${onStep};
    let at = 0;
    const names = ["chmodSync", "linkSync", "mkdirSync", "renameSync", "rmSync", "rmdirSync", "unlinkSync"];
    for (const [owner, name] of [...names.map((name) => [fs, name]), [Server.prototype, "listen"]]) {
      const original = owner[name];
      owner[name] = function (...args) {
        onStep(at++, name, ...args);
        return original.apply(this, args);
      };
    }
    syncBuiltinESMExports();
    const { listen } = await import(${JSON.stringify(LISTENING)});
    const server = createServer((caller) => caller.on("error", () => {}).end("first"));
    await listen(server, { port: 0, path: process.argv[1] });
    fs.writeSync(1, "listens\\n");`;
  const args = ["--input-type=module", "-e", script, path];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const ended = once(child, "exit");
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    /** `undefined` when it has ended. */
    said: async (): Promise<string | undefined> => (await lines.next()).value,
    goOn: () => child.stdin.write("."),
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Another process has its turn and stands still, and a server of this one wants the path, and knows of that. */
async function oneBehindAnother(path: string) {
  await leave(path);
  const first = comer(path, STANDS_STILL);
  expect(await first.said()).toBe("stands still");
  const isAsked = asksAtTicket();
  const second = listen(named("second"), at(path));
  // As soon as it has asked there, it knows.
  await Promise.race([isAsked, second]);
  return { first, second };
}

async function whoAnswersAt(path: string): Promise<string> {
  const [told] = (await once(connect(path).setEncoding("utf8"), "data")) as [string];
  return told;
}

test("of several that want it at the same time, one gets it, and the others are told", async () => {
  const path = join(directory, "sock");
  await leave(path);
  const names = ["a", "b", "c"];
  const results = await Promise.allSettled(names.map((name) => listen(named(name), at(path))));
  const winners = names.filter((_, i) => results[i]?.status === "fulfilled");
  expect(winners).toHaveLength(1);
  for (const result of results) {
    if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "HOLDFAST_ERR_LISTEN" });
  }
  expect(await whoAnswersAt(path)).toBe(winners[0]);
  expect(readdirSync(directory)).toEqual(["sock"]);
});

test("one that is bound and does not listen yet is not taken for left behind", async () => {
  const path = join(directory, "sock");
  const [first, second] = [named("first"), named("second")];
  const handle = bind(path);
  let left: string[] = [];
  onceRefused(() => {
    left = readdirSync(directory);
    first.listen(handle);
  });
  await expect(listen(second, at(path))).rejects.toMatchObject({
    code: "HOLDFAST_ERR_LISTEN",
    message: expect.stringContaining(`Somebody else listens on ${path}, or is about to.`),
  });
  expect(await whoAnswersAt(path)).toBe("first");
  // Whoever ends while it waits leaves nothing.
  expect(left).toEqual(["sock"]);
});

test("whenever one is killed, the next one gets it", async () => {
  const path = join(directory, "sock");
  let step = 0;
  for (let isThrough = false; !isThrough; step++) {
    rmSync(path, { force: true });
    await leave(path);
    const killed = comer(path, `(at) => at === ${step} && process.kill(process.pid, "SIGKILL")`);
    isThrough = (await killed.said()) === "listens";
    await killed.kill();
    const next = named("next");
    await listen(next, at(path));
    expect(await whoAnswersAt(path)).toBe("next");
    next.close();
    await once(next, "close");
  }
  expect(step).toBeGreaterThan(5);
});

test("while one stands still amid its turn, nobody else has one", async () => {
  const path = join(directory, "sock");
  const { first, second } = await oneBehindAnother(path);
  first.goOn();
  await expect(second).rejects.toMatchObject({ code: "HOLDFAST_ERR_LISTEN" });
  expect(await first.said()).toBe("listens");
  expect(await whoAnswersAt(path)).toBe("first");
  expect(readdirSync(directory)).toEqual(["sock"]);
});

test("who waits for one that is killed amid its turn has the next one", async () => {
  const path = join(directory, "sock");
  const { first, second } = await oneBehindAnother(path);
  await first.kill();
  await second;
  expect(await whoAnswersAt(path)).toBe("second");
  expect(readdirSync(directory)).toEqual(["sock"]);
});

test("a clock that has been set back since keeps nobody from it", async () => {
  const path = join(directory, "sock");
  await leave(path);
  await leave(join(directory, ".hf-killed.t"));
  const inTwoDays = Date.now() / 1_000 + 2 * 86_400;
  for (const name of readdirSync(directory)) utimesSync(join(directory, name), inTwoDays, inTwoDays);
  await listen(named("next"), at(path));
  expect(await whoAnswersAt(path)).toBe("next");
  expect(readdirSync(directory)).toEqual(["sock"]);
});

test.skipIf(!isRoot)(
  "in a directory of all users, nothing that a stranger has there keeps anybody from it",
  async () => {
    const path = join(directory, "sock");
    chmodSync(directory, 0o1777);
    await leave(path);
    const theirs = [join(directory, ".hf-strang.t"), join(directory, ".hf-folder.t")] as const;
    await once(named("stranger").listen(theirs[0]), "listening");
    mkdirSync(theirs[1]);
    for (const each of theirs) chownSync(each, NOBODY, NOBODY);
    await listen(named("next"), at(path));
    expect(await whoAnswersAt(path)).toBe("next");
    expect(readdirSync(directory).sort()).toEqual([".hf-folder.t", ".hf-strang.t", "sock"]);
  },
);

test("a path whose directory has no room for a ticket is taken all the same", async () => {
  const long = join(directory, "x".repeat(MAX_SOCKET_PATH_BYTES - directory.length - 3));
  mkdirSync(long);
  const path = join(long, "s");
  await leave(path);
  await listen(named("next"), at(path));
  expect(await whoAnswersAt(path)).toBe("next");
});

test("where there is no room for a socket, that is told of the directory", async () => {
  const text = "listen ENOSPC: no space left on device /run/app/.hf-12345678";
  const cause = Object.assign(new Error(text), { code: "ENOSPC" });
  const { message } = await cannotListen(at("/run/app/sock"), cause);
  expect(message).toBe(
    "There is no room for a socket in /run/app (ENOSPC). Make some, or choose another path.",
  );
});
