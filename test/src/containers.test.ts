/**
 * examples/docker without an image: its server as process 1 of a PID namespace, and the commands of its Dockerfile.
 * Needs root.
 */
import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { findProgram, httpRequest, type Program, runProgram } from "@holdfast/harness";
import { afterEach, expect, test } from "vitest";
import { connectAcross, everyoneTalks } from "./harness/conversation.js";
import { Example } from "./harness/example.js";

const FOLDER = fileURLToPath(new URL("../../examples/docker/", import.meta.url));
const DOCKERFILE = readFileSync(`${FOLDER}Dockerfile`, "utf8");
const UNSHARE = findProgram({
  name: "unshare, for root,",
  programs: process.getuid?.() === 0 ? ["unshare"] : [],
  variable: "UNSHARE_PATH",
  cure: "Run the tests as root; it is in Debian's package util-linux.",
});
const inContainer = test.skipIf(!UNSHARE);

let example: Example | undefined;

afterEach(async () => {
  await example?.close();
  example = undefined;
});

/** The arguments of a command of the Dockerfile, without the name of Node.js. */
function commandOf(instruction: RegExp): string[] {
  const [, list = "[]"] = DOCKERFILE.match(instruction) ?? [];
  const [node, ...args] = JSON.parse(list) as string[];
  expect(node).toBe("node");
  return args;
}

const CMD = commandOf(/^CMD (\[.*\])$/m);
const HEALTHCHECK = commandOf(/^HEALTHCHECK .*CMD (\[.*\])$/m);

/** `docker run` in a nutshell. */
async function start(): Promise<Example> {
  const [script = "", ...args] = CMD;
  const namespace = ["--pid", "--fork", "--kill-child", "--mount-proc", process.execPath];
  example = await Example.start({
    command: UNSHARE ?? "",
    commandArgs: namespace,
    folder: FOLDER,
    script,
    args,
  });
  return example;
}

/** What the kernel shows outside of the namespace of its process 1. */
function processOne(container: Program): number {
  const [first] = readFileSync(`/proc/${container.pid}/task/${container.pid}/children`, "utf8").split(" ");
  return Number(first);
}

const health = (port: number) =>
  runProgram(process.execPath, HEALTHCHECK, { cwd: FOLDER, env: { PORT: String(port) } });

inContainer("as process 1 it serves clients, is healthy, and ends cleanly on SIGTERM", async () => {
  const container = await start();
  const clients = await connectAcross(container);
  await everyoneTalks(clients, "hello");
  expect(await health(container.port)).toEqual({ code: 0, signal: null, stdout: "", stderr: "" });

  // What `docker stop` does.
  process.kill(processOne(container), "SIGTERM");
  expect(await container.end()).toEqual({ code: 0, signal: null });
  expect(container.stderr).toBe("");
  expect(await health(container.port)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("ECONNREFUSED"),
  });
});

inContainer("a killed worker is replaced, and leaves process 1 no zombie", async () => {
  const container = await start();
  const clients = await connectAcross(container);
  const one = processOne(container);
  const workers = () =>
    readFileSync(`/proc/${one}/task/${one}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  const [victim = 0] = workers();
  process.kill(victim, "SIGKILL");
  await container.line(/^worker \d+ is gone$/);
  await container.line(/^worker \d+ is up$/, 3);
  await Promise.all(clients.map((client) => client.settled()));
  expect(workers()).not.toContain(victim);
  expect(workers()).toHaveLength(2);
});

inContainer("the heaps of all processes fit into the memory", async () => {
  const { url } = await start();
  const { heapLimit } = JSON.parse((await httpRequest(`${url}/health`)).text);
  const memory = Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, totalmem());
  expect(heapLimit * 3).toBeLessThan(memory);
  expect(heapLimit * 3).toBeGreaterThan(memory / 2);
});
