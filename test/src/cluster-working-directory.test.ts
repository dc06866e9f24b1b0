/**
 * A primary that changes its working directory, or whose working directory is removed: what its options name stays where
 * that was at the start.
 */
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { canRunAsNobody, NOBODY, runProgram } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { startsSupervised } from "./harness/after-each.js";
import { APP, HOLDFAST, type Home, type Supervised, type SupervisedOptions } from "./harness/supervised.js";

const { launch, home } = startsSupervised();

/** Starts a cluster in the directory of `own`. When it runs, the application goes to another one. */
async function startIn(own: Home, options: SupervisedOptions): Promise<Supervised> {
  const elsewhere = join(own.directory, "elsewhere");
  mkdirSync(elsewhere);
  const cluster = await launch({ ...options, home: own, cwd: own.directory });
  await cluster.status();
  await cluster.primary.run((_, directory) => process.chdir(directory), elsewhere);
  return cluster;
}

async function stop(cluster: Supervised): Promise<void> {
  process.kill(cluster.primary.pid, "SIGTERM");
  expect(await cluster.end()).toEqual({ code: 0, signal: null });
}

test("the control socket is looked for, made anew, and removed there", async () => {
  const own = home();
  const path = join(own.directory, "own.sock");
  const cluster = await startIn(own, { options: { control: "own.sock" } });
  const told = cluster.primary.next<{ message: string }>("warning");
  rmSync(path);
  const { message } = await told;
  expect(message).toContain(`The control socket ${path} was removed, and has been made anew. `);
  expect((await own.holdfast("status", "--control", path)).code).toBe(0);
  await stop(cluster);
  expect(existsSync(path)).toBe(false);
});

test("a control socket in a relative temporary folder is removed there", async () => {
  const own = home();
  const cluster = await startIn(own, {
    options: { name: "api" },
    env: { XDG_RUNTIME_DIR: undefined, TMPDIR: "." },
  });
  const path = join(own.directory, `holdfast-${process.getuid?.()}`, "api.sock");
  expect(existsSync(path)).toBe(true);
  await stop(cluster);
  expect(existsSync(path)).toBe(false);
});

test("the socket for clients is removed there", async () => {
  const own = home();
  const path = join(own.directory, "clients.sock");
  const cluster = await startIn(own, { options: { path: "clients.sock" } });
  expect(await cluster.status()).toMatchObject({ address: path });
  await stop(cluster);
  expect(existsSync(path)).toBe(false);
});

test("new workers run where the option cwd says, seen from there", async () => {
  const own = home();
  const cwd = join(own.directory, "release");
  mkdirSync(cwd);
  const cluster = await startIn(own, { options: { cwd: "release", workers: 1 } });
  await cluster.reload();
  expect(await cluster.worker(0).run(() => process.cwd())).toBe(cwd);
});

test("new workers run where the primary was at the start, and find there what their arguments name", async () => {
  const own = home();
  writeFileSync(join(own.directory, "hook.mjs"), "globalThis.hookIn = process.cwd();");
  const options = { workers: 1, execArgv: ["--import", "./hook.mjs"] };
  const cluster = await startIn(own, { options });
  await cluster.reload();
  const places = await cluster.worker(0).run(() => [process.cwd(), Reflect.get(globalThis, "hookIn")]);
  expect(places).toEqual([own.directory, own.directory]);
});

test.skipIf(!canRunAsNobody())(
  "new workers start there also when this user may not go there any more",
  async () => {
    const own = home();
    const cwd = join(own.directory, "closed");
    mkdirSync(cwd, { mode: 0o700 });
    chmodSync(own.directory, 0o755);
    const cluster = await launch({ home: own, cwd, options: { workers: 1 } });
    await cluster.status();
    await cluster.primary.run((_, uid) => process.setuid?.(uid), NOBODY);
    await cluster.reload();
    expect(await cluster.worker(0).run(() => process.cwd())).toBe(cwd);
  },
);

test("where the primary is can be removed: workers are started and replaced, and the cluster stops well", async () => {
  const cluster = await startIn(home(), { options: { workers: 1 } });
  await cluster.primary.run(async (ctx) => {
    const { rmdirSync } = await ctx.import("node:fs");
    rmdirSync(process.cwd());
  });
  const worker = await cluster.until("the worker", () => cluster.workers[0]);
  const ready = cluster.primary.next<{ pid: number }>("worker:ready");
  await worker.kill();
  expect((await ready).pid).not.toBe(worker.pid);
  await cluster.reload();
  await stop(cluster);
});

describe("holdfast run where the directory has been removed", () => {
  const run = (...args: string[]) => {
    const own = home();
    const script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"';
    const command = ["-c", script, "sh", process.execPath, HOLDFAST, "run", ...args];
    return runProgram("/bin/sh", command, { cwd: own.directory, env: own.env });
  };

  test.each([
    ["app.js", ["app.js"]],
    ["clients.sock", [APP, "--path", "clients.sock"]],
    ["own.sock", [APP, "--control", "own.sock"]],
    ["clients.sock", [APP, "--path", "clients.sock", "--watch"]],
    ["--watch-path src", [APP, "--watch-path", "src"]],
  ])("refuses the relative %s", async (what, args) => {
    const text = `${what} is a relative path, and the working directory has been removed. Give the whole path.`;
    const stderr = `${text}\nSee: holdfast run --help\n`;
    expect(await run(...args)).toMatchObject({ code: 2, stdout: "", stderr });
  });
});

test("a path that is too long for a socket, seen from there, is refused", async () => {
  const own = home();
  const cwd = join(own.directory, "x".repeat(80));
  mkdirSync(cwd);
  const cluster = await launch({ home: own, cwd, options: { path: "clients-of-this.sock" } });
  const code = await cluster.primary.run((ctx) => ctx.cluster().catch((error) => error.code));
  expect(code).toBe("HOLDFAST_ERR_INVALID_OPTION");
});
