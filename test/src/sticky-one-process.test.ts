/** An application that is set up as in a cluster, in a process that has none. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Exit, Program } from "@holdfast/harness";
import { expect, test } from "vitest";
import { closedAfterEach } from "./harness/after-each.js";

const FIXTURE = fileURLToPath(new URL("../dist/fixtures/one-process.js", import.meta.url));
const CLEAN: Exit = { code: 0, signal: null };

const opened = closedAfterEach({
  programs: [] as Program[],
  homes: [] as string[],
  async close() {
    for (const program of this.programs.splice(0)) await program.close();
    for (const home of this.homes.splice(0)) rmSync(home, { recursive: true, force: true });
  },
});

function run(args: string[], options: { ipc?: boolean } = {}): Program {
  const home = mkdtempSync(join(tmpdir(), "hf-"));
  opened.homes.push(home);
  const env = { TMPDIR: home, XDG_RUNTIME_DIR: "" };
  const program = Program.node([FIXTURE, ...args], { env, ...options });
  opened.programs.push(program);
  return program;
}

test.each([["started by itself", false] as const, ["forked over IPC, as test runners do", true] as const])(
  "%s, it is a cluster of one: nothing on disk, no warning, and it ends by itself",
  async (_name, ipc) => {
    const program = run([], { ipc });
    expect(await program.end()).toEqual(CLEAN);
    expect(JSON.parse(program.stdout)).toEqual({
      before: false,
      files: [],
      // Engine.IO's own.
      sidLength: 20,
      answers: ["ok", "40"],
      // The client is told that its session is closed.
      last: "1",
      wasReached: true,
      listeners: [0, 0, expect.any(Number)],
    });
    expect(program.stderr).toBe("");
  },
);

test("in a worker thread, every entry point says so", async () => {
  const program = run(["thread"]);
  expect(await program.end()).toEqual(CLEAN);
  expect(JSON.parse(program.stdout)).toEqual(["HOLDFAST_ERR_WORKER_THREAD", "HOLDFAST_ERR_WORKER_THREAD"]);
});
