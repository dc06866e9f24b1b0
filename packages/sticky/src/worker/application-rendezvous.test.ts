import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { HoldfastError } from "../../dist/errors.js";
import { ApplicationRendezvous } from "../../dist/worker/application-rendezvous.js";

/** One of its own: places below `/tmp` are taken as well. */
const NAME = `holdfast-${process.geteuid?.() ?? 0}-${randomBytes(8).toString("hex")}`;
let home: string;
let warnings: HoldfastError[];
const opened: ApplicationRendezvous[] = [];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "hf-"));
  warnings = [];
  vi.stubEnv("TMPDIR", home);
  vi.stubEnv("XDG_RUNTIME_DIR", "");
});
afterEach(() => {
  for (const each of opened.splice(0)) each.leave();
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true, force: true });
});

const open = async (name = NAME): Promise<ApplicationRendezvous> => {
  const rendezvous = new ApplicationRendezvous(name, {
    accept: (socket) => socket.end("hello"),
    warn: (error) => warnings.push(error),
  });
  opened.push(rendezvous);
  await rendezvous.enter();
  return rendezvous;
};

/** What the worker of that number says to who connects. */
async function ask(from: ApplicationRendezvous, number: number | undefined): Promise<string> {
  const socket = connect({ path: from.pathOf(number ?? -1) });
  const [said] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return said.toString();
}

const codes = () => warnings.map(({ code }) => code);

test("each has a number of its own, by which the others reach it", async () => {
  const [a, b, c] = await Promise.all([open(), open(), open()]);
  expect(new Set([a.number, b.number, c.number]).size).toBe(3);
  expect(await ask(a, b.number)).toBe("hello");
  expect(readdirSync(join(home, NAME)).sort()).toEqual([a, b, c].map(({ number }) => String(number)).sort());
  expect(warnings).toEqual([]);
});

test("the last one that leaves removes the directory; who comes back keeps its number", async () => {
  const [a, b] = [await open(), await open()];
  const { number } = a;
  a.leave();
  expect(readdirSync(join(home, NAME))).toEqual([String(b.number)]);
  b.leave();
  expect(existsSync(join(home, NAME))).toBe(false);
  await a.enter();
  expect(a.number).toBe(number);
  expect(await ask(b, number)).toBe("hello");
});

test("a socket that was removed is there again, and that is told, once", async () => {
  const [a, b] = [await open(), await open()];
  rmSync(join(home, NAME), { recursive: true });
  expect(b.isDisturbed()).toBe(true);
  a.look();
  await expect.poll(() => readdirSync(join(home, NAME))).toHaveLength(2);
  expect(await ask(b, a.number)).toBe("hello");
  rmSync(b.pathOf(a.number as number));
  a.look();
  await expect.poll(() => readdirSync(join(home, NAME))).toHaveLength(2);
  expect(codes()).toEqual(["HOLDFAST_ERR_PRIVATE_DIRECTORY", "HOLDFAST_ERR_PRIVATE_DIRECTORY"]);
  expect(warnings[0]?.message).toContain("was removed");
});

test("where somebody else has laid the directory out, the next place is taken, and both kinds are found", async () => {
  const early = await open();
  chmodSync(join(home, NAME), 0o777);
  const late = await open();
  expect(late.pathOf(late.number as number)).toBe(join("/tmp", NAME, String(late.number)));
  chmodSync(join(home, NAME), 0o700);
  expect(await ask(late, early.number)).toBe("hello");
  expect(await ask(early, late.number)).toBe("hello");
  expect(warnings).toEqual([]);
});

test("a file in its place, and a path that is too long, are passed over", async () => {
  writeFileSync(join(home, NAME), "");
  expect((await open()).pathOf(0)).toBe(join("/tmp", NAME, "0"));
  vi.stubEnv("TMPDIR", join(home, "x".repeat(90)));
  mkdirSync(join(home, "x".repeat(90)));
  expect((await open()).number).toBeDefined();
  expect(warnings).toEqual([]);
});

test("where no place will do, that is told with what to do, and the worker has no number", async () => {
  const rendezvous = await open(`${NAME}${"0".repeat(80)}`);
  expect(rendezvous.number).toBeUndefined();
  expect(codes()).toEqual(["HOLDFAST_ERR_PRIVATE_DIRECTORY"]);
  const [warning] = warnings;
  for (const part of ["too long for a socket", "Set TMPDIR", "at most"])
    expect(warning?.message).toContain(part);
  rendezvous.look();
  await new Promise(setImmediate);
  expect(warnings).toHaveLength(1);
});

/** A file system with room for a directory and nothing in it. */
const full = mkdtempSync(join(tmpdir(), "hf-full-"));
const canMount = spawnSync("mount", ["-t", "tmpfs", "-o", "nr_inodes=2", "tmpfs", full]).status === 0;
if (canMount) spawnSync("umount", [full]);
rmSync(full, { recursive: true });
// So begins what is shown again at the end of a run.
if (!canMount) console.warn("Tests are skipped: A tmpfs cannot be mounted here. Run the tests as root.");

test.runIf(canMount)("on a full disk, the next place is taken", async () => {
  spawnSync("mount", ["-t", "tmpfs", "-o", "nr_inodes=2", "tmpfs", home]);
  try {
    const rendezvous = await open();
    expect(rendezvous.pathOf(rendezvous.number as number)).toBe(
      join("/tmp", NAME, String(rendezvous.number)),
    );
    rendezvous.leave();
    expect(warnings).toEqual([]);
  } finally {
    spawnSync("umount", [home]);
  }
});
