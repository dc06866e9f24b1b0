/** What workers write to stderr, where that of the primary is broken, and what they leave behind that still has it. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Program } from "@holdfast/harness";
import { expect, test } from "vitest";
import { closedAfterEach, startsSupervised } from "./harness/after-each.js";
import { APP, HOLDFAST } from "./harness/supervised.js";

const ENDS = fileURLToPath(new URL("../dist/fixtures/cluster-ends.js", import.meta.url));
const { home } = startsSupervised();
const programs: Program[] = [];
closedAfterEach({
  close: () => Promise.all(programs.splice(0).map((program) => program.close())),
});

test.each([
  ["on a full disk", `"$@" 2>/dev/full`],
  ["a pipe whose reader is gone", `{ "$@" 2>&1 1>&3 | true; } 3>&1`],
])("%s, it keeps nobody from working", async (_, command) => {
  const own = home();
  own.start({ writes: "a word of the worker" });
  const args = [process.execPath, HOLDFAST, "run", APP, "--port", "0", "-w", "2"];
  const program = new Program("sh", ["-c", command, "sh", ...args], { env: own.env, cwd: own.directory });
  programs.push(program);
  await program.line(/runs 2 workers/);
  expect((await own.holdfast("reload")).code).toBe(0);
  expect((await own.holdfast("status")).stdout).toMatch(/ready[\s\S]*ready/);
  expect((await own.holdfast("stop")).code).toBe(0);
  expect((await program.end()).signal).toBeNull();
});

test("what a worker has left behind keeps no primary from its end", async () => {
  const own = home();
  const path = join(own.directory, "gate");
  const gate = createServer().listen(path);
  own.start({ leavesAt: path });
  const left = once(gate, "connection") as Promise<[Socket]>;
  // The end of the shell is that of the primary alone.
  const program = new Program("sh", ["-c", `"$@"; echo ended`, "sh", process.execPath, ENDS], {
    env: own.env,
    input: "stop",
  });
  programs.push(program);
  const [socket] = await left;
  await program.line(/^ended$/);
  socket.destroy();
  gate.close();
});
