/** A primary that changes its working directory: what its options name stays where that was at the start. */
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { canRunAsNobody, NOBODY } from "@holdfast/harness";
import { expect, test } from "vitest";
import { startsSupervised } from "./harness/after-each.js";
import type { Home, Supervised, SupervisedOptions } from "./harness/supervised.js";

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

test("a path that is too long for a socket, seen from there, is refused", async () => {
  const own = home();
  const cwd = join(own.directory, "x".repeat(80));
  mkdirSync(cwd);
  const cluster = await launch({ home: own, cwd, options: { path: "clients-of-this.sock" } });
  const code = await cluster.primary.run((ctx) => ctx.cluster().catch((error) => error.code));
  expect(code).toBe("HOLDFAST_ERR_INVALID_OPTION");
});
