/** Control sockets and the files that they are: what other processes have there stays theirs. */
import { once } from "node:events";
import { linkSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { connect, createServer, Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { NamedSocket } from "../../dist/control/named-socket.js";

let directory = "";
const open: { close(): void }[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "hf-"));
});

afterEach(() => {
  for (const each of open.splice(0)) each.close();
  rmSync(directory, { recursive: true });
});

/** One that tells everybody its name. */
async function named(name: string): Promise<NamedSocket> {
  const path = join(directory, name);
  // Who only looks whether somebody is there has hung up by then.
  const accept = (caller: Socket) => caller.on("error", () => {}).end(name);
  const socket = await NamedSocket.open({ names: [name], path }, accept);
  open.push(socket);
  return socket;
}

async function whoAnswersAt(name: string): Promise<string> {
  const socket = connect(join(directory, name)).setEncoding("utf8");
  const [text] = (await once(socket, "data")) as [string];
  return text;
}

/** Leaves a socket on which nobody listens, as a process does that is killed. */
async function leave(name: string, ageSeconds: number): Promise<void> {
  const server = createServer().listen(join(directory, "bound"));
  await once(server, "listening");
  linkSync(join(directory, "bound"), join(directory, name));
  server.close();
  const then = Date.now() / 1000 - ageSeconds;
  utimesSync(join(directory, name), then, then);
}

test("two processes of one number that share a directory, as in containers, get each its own", async () => {
  await Promise.all([named("a"), named("b")]);
  expect(await whoAnswersAt("a")).toBe("a");
  expect(await whoAnswersAt("b")).toBe("b");
  expect(readdirSync(directory).sort()).toEqual(["a", "b"]);
});

test("one that has the name of a killed process' leaves nothing of that", async () => {
  await leave("a", 0);
  await named("a");
  expect(await whoAnswersAt("a")).toBe("a");
  expect(readdirSync(directory)).toEqual(["a"]);
});

test("of several that want the name of a killed process' at the same time, one gets it", async () => {
  // More than two: one that takes it, one that has seen it before that, and one that comes between.
  for (let round = 0; round < 5; round++) {
    const name = `a${round}`;
    await leave(name, 0);
    const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => named(name)));
    const losers = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(losers.map(({ reason }) => reason.code)).toEqual(Array(5).fill("HOLDFAST_ERR_NAME_TAKEN"));
    expect(outcomes.find(({ status }) => status === "fulfilled")).toBeDefined();
    expect(await whoAnswersAt(name)).toBe(name);
  }
  expect(readdirSync(directory).sort()).toEqual(["a0", "a1", "a2", "a3", "a4"]);
});

test("what killed processes have left without a name is removed; what may be somebody's, stays", async () => {
  await leave(".hf-killed00", 3_600);
  await leave(".hf-starting", 0);
  await leave(".hf-anothers-own", 3_600);
  writeFileSync(join(directory, ".hf-00000000"), "a file");
  const path = join(directory, ".hf-living00");
  const living = createServer((socket) => socket.end()).listen(path);
  await once(living, "listening");
  utimesSync(path, 0, 0);
  open.push(living);
  await named("a");
  expect(readdirSync(directory).sort()).toEqual([
    ".hf-00000000",
    ".hf-anothers-own",
    ".hf-living00",
    ".hf-starting",
    "a",
  ]);
});

test("who connects before it is closed to others is turned away", async () => {
  const umask = process.umask(0);
  onTestFinished(() => void process.umask(umask));
  const { listen } = Server.prototype;
  let [text, closed]: [string, Promise<unknown> | undefined] = ["", undefined];
  vi.spyOn(Server.prototype, "listen").mockImplementationOnce(function (this: Server, path: unknown) {
    listen.call(this, path as string);
    const early = connect(path as string).setEncoding("utf8");
    closed = once(early, "close");
    early.on("data", (chunk: string) => {
      text += chunk;
    });
    return this;
  });
  await named("a");
  await closed;
  expect(text).toBe("");
  expect(await whoAnswersAt("a")).toBe("a");
});

test("a path that is too long for a socket is refused", async () => {
  await expect(named("x".repeat(120))).rejects.toMatchObject({
    code: "HOLDFAST_ERR_CONTROL_SOCKET",
    message: expect.stringMatching(
      /is too long for a Unix socket.*Set the option "control" to a shorter path\.$/,
    ),
  });
});
