import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runAsNobody } from "../../../../harness/dist/other-user.js";
import { isOfTheDead, OWNER_FILE, ownIdentity } from "../../dist/rendezvous/owner-file.js";
import {
  inspectDirectory,
  makePrivateDirectory,
  removePrivateDirectory,
  restoreDirectory,
  socketPath,
} from "../../dist/rendezvous/private-directory.js";
import { removeStaleDirectories } from "../../dist/rendezvous/stale-directories.js";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "hf-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** A directory whose path has so many bytes. */
function placeOf(bytes: number): string {
  const place = join(
    home,
    "é".repeat(2),
    "x".repeat(bytes - Buffer.byteLength(join(home, "é".repeat(2), "/"))),
  );
  mkdirSync(place, { recursive: true });
  expect(Buffer.byteLength(place)).toBe(bytes);
  return place;
}

const LONGEST = process.platform === "linux" ? 82 : 78;
const MAX_WORKER_ID = 64 ** 4 - 1;

test("it is made where the socket of any worker fits, to the byte", async () => {
  const fits = placeOf(LONGEST);
  const tooLong = placeOf(LONGEST + 1);
  const directory = makePrivateDirectory([tooLong, fits]);
  expect(directory.startsWith(join(fits, "holdfast-"))).toBe(true);
  expect(readdirSync(tooLong)).toEqual([]);
  expect(lstatSync(directory).mode & 0o777).toBe(0o700);
  const server = createServer();
  const path = socketPath(directory, MAX_WORKER_ID);
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
  expect(lstatSync(path).isSocket()).toBe(true);
  await new Promise((resolve) => server.close(resolve));
});

test("places that are missing, no directories, or refuse are passed over; if none is left, the error says why", () => {
  const file = join(home, "file");
  writeFileSync(file, "");
  const bad = [join(home, "missing"), file, placeOf(LONGEST + 1)];
  expect(makePrivateDirectory([...bad, home]).startsWith(home)).toBe(true);
  const attempt = () => makePrivateDirectory(bad);
  expect(attempt).toThrow(expect.objectContaining({ code: "HOLDFAST_ERR_PRIVATE_DIRECTORY" }));
  for (const reason of ["ENOENT", "ENOTDIR", "too long", `at most ${LONGEST} bytes`, "TMPDIR"]) {
    expect(attempt).toThrow(reason);
  }
});

test("a place where a directory cannot be made what it has to be is passed over, and nothing is left there", () => {
  const [first, second] = [join(home, "first"), join(home, "second")];
  for (const place of [first, second]) mkdirSync(place);
  const prepare = (directory: string) => {
    if (directory.startsWith(first)) throw new Error("not here");
  };
  expect(makePrivateDirectory([first, second], prepare).startsWith(second)).toBe(true);
  expect(readdirSync(first)).toEqual([]);
  expect(() => makePrivateDirectory([first], prepare)).toThrow("not here");
});

test("a place that may not be written to is passed over", () => {
  const [closed, open] = [join(home, "closed"), join(home, "open")];
  mkdirSync(closed, { mode: 0o555 });
  mkdirSync(open);
  chmodSync(home, 0o755);
  chmodSync(open, 0o777);
  const { stdout } = runAsNobody(
    new URL("../../dist/rendezvous/private-directory.js", import.meta.url),
    `console.log(module.makePrivateDirectory(${JSON.stringify([closed, open])}));`,
  );
  expect(stdout.startsWith(join(open, "holdfast-"))).toBe(true);
});

test("any umask will do", () => {
  const script =
    `process.umask(0o777);import(${JSON.stringify(new URL("../../dist/rendezvous/private-directory.js", import.meta.url).href)})` +
    `.then(({makePrivateDirectory:m,inspectDirectory:i})=>console.log(i(m([${JSON.stringify(home)}]))))`;
  expect(spawnSync(process.execPath, ["-e", script], { encoding: "utf8" }).stdout.trim()).toBe("ours");
});

test("what is not ours, or open to others, is not used", () => {
  const directory = makePrivateDirectory([home]);
  expect(inspectDirectory(directory)).toBe("ours");
  expect(inspectDirectory(directory, (process.geteuid?.() ?? 0) + 1)).toBe("foreign");
  chmodSync(directory, 0o710);
  expect(inspectDirectory(directory)).toBe("foreign");
  const link = join(home, "link");
  chmodSync(directory, 0o700);
  symlinkSync(directory, link);
  expect(inspectDirectory(link)).toBe("foreign");
  expect(inspectDirectory(join(home, "none"))).toBe("missing");
});

test("it is made anew under its name, unless somebody else was faster", () => {
  const directory = makePrivateDirectory([home]);
  rmSync(directory, { recursive: true });
  expect(restoreDirectory(directory, process.pid)).toBe("ours");
  expect(readFileSync(join(directory, OWNER_FILE), "utf8")).toBe(ownIdentity());
  expect(restoreDirectory(directory, process.pid)).toBe("ours");
  rmSync(directory, { recursive: true });
  writeFileSync(directory, "");
  expect(restoreDirectory(directory, process.pid)).toBe("foreign");
});

test("only what belongs in it is removed with it, and nothing through a link", () => {
  const directory = makePrivateDirectory([home]);
  writeFileSync(join(directory, "12"), "");
  writeFileSync(join(directory, "mine"), "");
  removePrivateDirectory(directory);
  expect(readdirSync(directory)).toEqual(["mine"]);
  rmSync(join(directory, "mine"));
  removePrivateDirectory(directory);
  expect(existsSync(directory)).toBe(false);
  const other = join(home, "other");
  mkdirSync(other);
  writeFileSync(join(other, "12"), "");
  symlinkSync(other, directory);
  removePrivateDirectory(directory);
  expect(readdirSync(other)).toEqual(["12"]);
});

test("a process that certainly lives no more", () => {
  const { pid: dead } = spawnSync(process.execPath, ["-e", ""]);
  expect(isOfTheDead(ownIdentity(dead))).toBe(true);
  expect(isOfTheDead(ownIdentity())).toBe(false);
  expect(isOfTheDead(ownIdentity(process.ppid))).toBe(false);
  // Of another boot or namespace, a process id says nothing.
  expect(isOfTheDead(`${dead} elsewhere`)).toBe(false);
  for (const text of ["", "x", `-1 ${ownIdentity().split(" ").slice(1).join(" ")}`])
    expect(isOfTheDead(text)).toBe(false);
});

test("directories of the dead are removed, all others stay", async () => {
  const { pid: dead } = spawnSync(process.execPath, ["-e", ""]);
  const make = (identity: string | undefined, mode = 0o700): string => {
    const directory = makePrivateDirectory([home]);
    if (identity === undefined) rmSync(join(directory, OWNER_FILE));
    else writeFileSync(join(directory, OWNER_FILE), identity);
    writeFileSync(join(directory, "1"), "");
    chmodSync(directory, mode);
    return directory;
  };
  const stale = make(ownIdentity(dead));
  const kept = [
    make(ownIdentity()),
    make(`${dead} elsewhere`),
    make(undefined),
    make(ownIdentity(dead), 0o755),
  ];
  const other = join(home, "holdfast-notes");
  mkdirSync(other);
  writeFileSync(join(other, OWNER_FILE), ownIdentity(dead));
  await removeStaleDirectories([home, join(home, "missing")]);
  expect(existsSync(stale)).toBe(false);
  expect([...kept, other].filter((each) => !existsSync(each))).toEqual([]);
});
