import { spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { runAsNobody } from "../../../../harness/dist/other-user.js";
import {
  directoriesOf,
  findSocket,
  provideDirectory,
  removeIfEmpty,
  removeTheDead,
} from "../../dist/rendezvous/application-directory.js";

const NAME = `holdfast-${process.geteuid?.() ?? 0}-0123456789abcdef`;
let home: string;
const servers: Server[] = [];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "hf-"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  for (const server of servers.splice(0)) server.close();
  rmSync(home, { recursive: true, force: true });
});

/** A socket on which somebody listens, as old as others. */
async function listen(path: string): Promise<void> {
  const server = createServer().listen(path);
  servers.push(server);
  await once(server, "listening");
  makeOld(path);
}

const makeOld = (path: string) => utimesSync(path, new Date(0), new Date(0));

/** What a killed process leaves. */
function leaveDead(path: string): void {
  const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", script]);
  makeOld(path);
}

test("the user's runtime directory comes first, if it is private, then the temporary one", () => {
  vi.stubEnv("TMPDIR", join(home, "tmp"));
  vi.stubEnv("XDG_RUNTIME_DIR", home);
  expect(directoriesOf(NAME)[0]).toBe(join(home, NAME));
  chmodSync(home, 0o755);
  expect(directoriesOf(NAME)).toEqual([
    join(home, "tmp", NAME),
    ...["/tmp", "/var/tmp"].map((place) => join(place, NAME)),
  ]);
  vi.stubEnv("XDG_RUNTIME_DIR", "relative");
  expect(directoriesOf(NAME)[0]).toBe(join(home, "tmp", NAME));
});

test("it is made for its user alone, and taken as it is if it is that", () => {
  const directory = join(home, NAME);
  provideDirectory(directory);
  provideDirectory(directory);
  expect(lstatSync(directory).mode & 0o777).toBe(0o700);
});

test("what somebody else could have laid out is not used", () => {
  const directory = join(home, NAME);
  const refused = /belongs to another user, is open to others, or is no directory/;
  mkdirSync(directory);
  chmodSync(directory, 0o755);
  expect(() => provideDirectory(directory)).toThrow(refused);
  rmSync(directory, { recursive: true });
  writeFileSync(directory, "");
  expect(() => provideDirectory(directory)).toThrow(refused);
  rmSync(directory);
  mkdirSync(join(home, "elsewhere"), { mode: 0o700 });
  symlinkSync(join(home, "elsewhere"), directory);
  expect(() => provideDirectory(directory)).toThrow(refused);
});

test("a place that is missing, or where the path is too long, is told", () => {
  expect(() => provideDirectory(join(home, "none", NAME))).toThrow("ENOENT");
  const long = join(home, "x".repeat(80));
  mkdirSync(long);
  expect(() => provideDirectory(join(long, NAME))).toThrow("too long for a socket");
});

test("a socket is found in whichever directory it is, and never in one that is not private", async () => {
  const [first, second] = [join(home, "a"), join(home, "b")] as const;
  for (const directory of [first, second]) mkdirSync(directory, { mode: 0o700 });
  await listen(join(second, "7"));
  expect(findSocket([first, second], 7)).toBe(join(second, "7"));
  expect(findSocket([first, second], 8)).toBe(join(first, "8"));
  await listen(join(first, "7"));
  chmodSync(first, 0o755);
  expect(findSocket([first, second], 7)).toBe(join(second, "7"));
});

test("sockets of the dead are removed, with directories that are empty then; all others stay", async () => {
  const [own, other, foreign] = [NAME, NAME.replace(/.$/, "0"), "holdfast-notes"].map((name) =>
    join(home, name),
  ) as [string, string, string];
  for (const directory of [own, other, foreign]) mkdirSync(directory, { mode: 0o700 });
  await listen(join(own, "1"));
  for (const path of [join(own, "2"), join(other, "3"), join(foreign, "4")]) leaveDead(path);
  await removeTheDead([own]);
  expect(readdirSync(own)).toEqual(["1"]);
  expect(existsSync(other)).toBe(false);
  expect(readdirSync(foreign)).toEqual(["4"]);
});

test("a socket that has just been made may not listen yet, and is left alone", async () => {
  const directory = join(home, NAME);
  mkdirSync(directory, { mode: 0o700 });
  leaveDead(join(directory, "1"));
  utimesSync(join(directory, "1"), new Date(), new Date());
  await removeTheDead([directory]);
  expect(readdirSync(directory)).toEqual(["1"]);
});

test("what may not be looked at is left alone, and ends nobody", () => {
  chmodSync(home, 0o777);
  const { stderr, status } = runAsNobody(
    new URL("../../dist/rendezvous/application-directory.js", import.meta.url),
    `const fs = require("node:fs"), d = ${JSON.stringify(home)} + "/holdfast-" + process.geteuid() + "-0123456789abcdef";` +
      'fs.mkdirSync(d, { mode: 0o700 }); fs.writeFileSync(d + "/1", ""); fs.chmodSync(d, 0o400);' +
      "module.removeTheDead([d]);",
  );
  for (const name of readdirSync(home)) chmodSync(join(home, name), 0o700);
  expect([stderr, status]).toEqual(["", 0]);
});

test("only an empty directory of ours is removed", () => {
  const directory = join(home, NAME);
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(join(directory, "hub"), "");
  removeIfEmpty(directory);
  expect(existsSync(directory)).toBe(true);
  rmSync(join(directory, "hub"));
  removeIfEmpty(directory);
  expect(existsSync(directory)).toBe(false);
  removeIfEmpty(directory);
});
