/** `holdfast-hub`, the hub that an operator runs: its command line, its signals, its place. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  canRunAsNobody,
  isRoot,
  NOBODY,
  Program,
  type ProgramOptions,
  runProgram,
  skipsWithout,
} from "@holdfast/harness";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PROTOCOL_VERSION } from "../../packages/adapter/dist/wire/frame.js";
import { encodeSocketMessage, MessageReader } from "../../packages/adapter/dist/wire/socket-handshake.js";
import { startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { untilServers } from "./harness/cluster.js";
import { HUB_PROGRAM } from "./harness/hub-processes.js";

const VERSION = /^\d+\.\d+\.\d+/;
skipsWithout(isRoot, "Only root can be somebody else. Run the tests as root.");

const start = startsClusters({ sticky: false, hub: false });
const clients = new Clients();
const programs: Program[] = [];
let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "hf-"));
  path = join(directory, "hub.sock");
});
afterEach(async () => {
  clients.close();
  await Promise.all(programs.splice(0).map((program) => program.close()));
  rmSync(directory, { recursive: true, force: true });
});

const run = (...args: string[]) => runProgram(process.execPath, [HUB_PROGRAM, ...args]);

function launch(args: readonly string[] = ["--path", path], options: ProgramOptions = {}): Program {
  const program = Program.node([HUB_PROGRAM, ...args], options);
  programs.push(program);
  return program;
}

async function openHub(...args: string[]): Promise<Program> {
  const program = launch(["--path", path, ...args]);
  await program.writes(`is open at ${path}`);
  return program;
}

describe("the command line", () => {
  test("--help and --version", async () => {
    const help = await run("--help");
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toContain("--journal-bytes <n>");
    const version = await run("--version");
    expect(version).toMatchObject({ code: 0, stderr: "" });
    expect(version.stdout).toMatch(VERSION);
  });

  test.each([
    [[], "--path is missing"],
    [["--path", "/tmp/x", "--journal"], "--journal"],
    [["--path", "/tmp/x", "more"], "more"],
    [
      ["--path", "/tmp/x", "--journal-bytes", "64MB"],
      '--journal-bytes must be a whole number from 0 to 2147483647, not "64MB"',
    ],
    [["--path", "/tmp/x", "--journal-bytes", "1"], "journalBytes"],
    [["--path", "/tmp/x", "--exit-when-idle", "-1"], "exit-when-idle"],
    [["--path", "/tmp/x", "--app", "a"], "--redis-url, or HOLDFAST_REDIS_URL"],
    [["--path", "/tmp/x", "--redis-url", "redis://127.0.0.1"], "--redis-url needs --app"],
    [["--path", "/tmp/x", "--redis-url", "redis://127.0.0.1", "--app", "a", "--redis-lease", "1"], "lease"],
  ])("%j is refused with exit code 2 and a line that says why", async (args, text) => {
    const { code, stdout, stderr } = await run(...args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(text);
    expect(stderr).toMatch(/^holdfast-hub: /);
  });
});

test("a relative path is refused where the working directory has been removed", async () => {
  const script = 'cd "$(mktemp -d)" && rmdir "$PWD" && exec "$@"';
  const command = ["-c", script, "sh", process.execPath, HUB_PROGRAM, "--path", "hub.sock"];
  const { code, stderr } = await runProgram("/bin/sh", command);
  expect(code).toBe(2);
  expect(stderr).toBe(
    "holdfast-hub: --path hub.sock is a relative path, and the working directory has been removed. Give the whole path.\n",
  );
});

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s: goodbye to the members, the socket is removed, exit code 0",
  async (signal) => {
    const hub = await openHub();
    const { a, b } = await start({ adapterOptions: { hub: { path } } });
    await untilServers([a, b], 2);
    const lost = a.run(
      () =>
        new Promise((resolve) =>
          process.once("warning", (warning) => resolve((warning as { code?: string }).code)),
        ),
    );
    hub.signal(signal);
    expect(await hub.exited).toEqual({ code: 0, signal: null });
    expect(existsSync(path)).toBe(false);
    expect(await lost).toBe("HOLDFAST_ERR_LINK_LOST");
    // The next one has them again.
    await openHub();
    await untilServers([a, b], 2);
    const client = await clients.connectTo(b);
    const got = client.next("hello");
    await a.run((ctx) => void ctx.io.emit("hello"));
    await got;
  },
);

test("processes that are no workers of a cluster join it, too; those who come before it wait", async () => {
  const one = await start({ single: true, adapterOptions: { hub: { path } } });
  await one.waitForOutput("[HOLDFAST_ERR_NO_HUB]");
  expect(one.output).toContain(`npx holdfast-hub --path ${path}`);
  await openHub();
  const other = await start({ single: true, adapterOptions: { hub: { path } } });
  await untilServers([one.a, other.a], 2);
  const client = await clients.connectTo(other.a);
  const got = client.next("hello");
  await one.a.run((ctx) => void ctx.io.emit("hello"));
  await got;
});

test("it is for its user alone", async () => {
  await openHub();
  expect(lstatSync(path).mode & 0o777).toBe(0o600);
  if (!isRoot) return;
  chmodSync(directory, 0o755);
  const script = `require("node:net").connect(${JSON.stringify(path)}).on("error",(e)=>console.log(e.code)).on("connect",()=>console.log("in"))`;
  const { stdout } = await runProgram(process.execPath, ["-e", script], {
    uid: NOBODY,
    gid: NOBODY,
    cwd: "/",
  });
  expect(stdout.trim()).toBe("EACCES");
});

test("while it stands still, members are told and go on alone; they join when it goes on", async () => {
  const hub = await openHub();
  hub.signal("SIGSTOP");
  const cluster = await start({ adapterOptions: { hub: { path } } });
  await cluster.waitForOutput("[HOLDFAST_ERR_NO_HUB]");
  expect(cluster.output).toContain("does not answer");
  hub.signal("SIGCONT");
  await cluster.untilJoined();
});

test("its file comes back when somebody has cleared the directory", async () => {
  const hub = await openHub();
  const { a } = await start({ workers: 1, adapterOptions: { hub: { path } } });
  rmSync(path);
  await hub.changes.until(
    () => "the socket",
    () => existsSync(path) || lookAgain(hub),
  );
  const { a: late } = await start({ workers: 1, adapterOptions: { hub: { path } } });
  await untilServers([a, late], 2);
});

/** A file has no event. */
function lookAgain(program: Program): false {
  setTimeout(() => program.changes.tell(), 20);
  return false;
}

describe("its place", () => {
  test("is refused while another hub has it", async () => {
    await openHub();
    const { code, stderr } = await run("--path", path);
    expect(code).toBe(1);
    expect(stderr).toContain("[HOLDFAST_ERR_HUB_RUNNING]");
    expect(stderr).toContain("choose another path");
  });

  test("is taken over from a dead one", async () => {
    const dead = await openHub();
    dead.signal("SIGKILL");
    await dead.exited;
    expect(lstatSync(path).isSocket()).toBe(true);
    await openHub();
  });

  test("goes to one of many that want it at once, also a dead one's", async () => {
    const dead = await openHub();
    dead.signal("SIGKILL");
    await dead.exited;
    const many = Array.from({ length: 5 }, () => launch());
    const outcomes = await Promise.all(
      many.map((each) => each.until("an outcome", () => /is open at|HUB_RUNNING/.exec(each.output)?.[0])),
    );
    const open = many.filter((_, i) => outcomes[i] === "is open at");
    // Who has taken over a dead one's place may lose it to another that has seen the same, and then ends.
    const { a, b } = await start({ adapterOptions: { hub: { path } } });
    await untilServers([a, b], 2);
    if (open.length > 1) {
      await Promise.race(open.map((each) => each.exited));
      await untilServers([a, b], 2);
    }
    expect(open.length).toBeGreaterThan(0);
  });

  test.each<[string, () => string, string]>([
    ["too long", () => join(directory, "x".repeat(120)), "too long for a Unix socket"],
    ["in no directory", () => join(directory, "none", "hub.sock"), "Make the directory"],
    ["below a file", () => join(HUB_PROGRAM, "hub.sock"), "no directory"],
    [
      "no socket",
      () => {
        writeFileSync(path, "mine");
        return path;
      },
      "is not a socket. Remove it",
    ],
    [
      "a directory",
      () => {
        mkdirSync(path);
        return path;
      },
      "is not a socket. Remove it",
    ],
  ])("that is %s is refused with exit code 1 and a line that says what to do", async (_, make, text) => {
    const place = make();
    const before = existsSync(path) && statSync(path).ino;
    const { code, stderr } = await run("--path", place);
    expect(code).toBe(1);
    expect(stderr).toContain("[HOLDFAST_ERR_HUB_PATH]");
    expect(stderr).toContain(text);
    expect(existsSync(path) && statSync(path).ino).toBe(before);
  });

  test.skipIf(!canRunAsNobody())("in a directory that this user may not write to is refused", async () => {
    chmodSync(directory, 0o755);
    const hub = launch(undefined, { uid: NOBODY, gid: NOBODY, cwd: "/" });
    expect(await hub.exited).toMatchObject({ code: 1 });
    await hub.writes("[HOLDFAST_ERR_HUB_PATH]");
    expect(hub.stderr).toContain("EACCES");
    expect(hub.stderr).toContain("Choose a path in a directory of this user");
  });

  test("on a full disk is refused", async (context) => {
    // Its root folder is the only file that it may have.
    const mounted = await runProgram("mount", ["-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs", directory]).catch(
      () => undefined,
    );
    if (mounted?.code !== 0) return context.skip("tmpfs cannot be mounted here; run as root");
    try {
      const { code, stderr } = await run("--path", path);
      expect(code).toBe(1);
      expect(stderr).toContain("[HOLDFAST_ERR_HUB_PATH]");
      expect(stderr).toContain("The file system is full. Make room");
    } finally {
      await runProgram("umount", [directory]);
    }
  });
});

describe("whoever connects", () => {
  /** What the hub answers to bytes, and whether it ends the connection. */
  async function answerTo(bytes: Buffer): Promise<unknown> {
    return new Promise((resolve) => {
      const reader = new MessageReader();
      let answer: unknown = "nothing";
      connect({ path })
        .on("data", (chunk) => {
          answer = reader.push(chunk)?.value;
        })
        .on("error", () => {})
        .on("close", () => resolve(answer))
        .write(bytes);
    });
  }

  const framed = (value: unknown) => encodeSocketMessage(value as never);

  test("with another protocol is told the hub's version, on either connection", async () => {
    await openHub();
    for (const kind of ["join", "listen", "whatever it will be called"]) {
      const answer = await answerTo(
        framed({ "holdfast:adapter": kind, protocol: 999, version: "9.9.9", more: {} }),
      );
      expect(answer).toEqual({
        "holdfast:adapter": "refusal",
        protocol: PROTOCOL_VERSION,
        version: expect.stringMatching(VERSION),
      });
    }
  });

  test("with anything else is put out, and the hub goes on", async () => {
    const hub = await openHub();
    const bad = [
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      Buffer.from([255, 255, 255, 255]),
      Buffer.from([2, 0, 0, 0, 123, 34]),
      framed(null),
      framed([]),
      framed({ "holdfast:adapter": "join" }),
      framed({ "holdfast:adapter": "join", protocol: PROTOCOL_VERSION, version: "1", token: "x" }),
    ];
    for (const bytes of bad) expect(await answerTo(bytes)).toBe("nothing");
    const { a, b } = await start({ adapterOptions: { hub: { path } } });
    await untilServers([a, b], 2);
    expect(hub.stderr).toBe("");
  });
});
