/** What the primary does, and says, about what workers report of their private directory. */
import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { skipsWithout } from "../../../../harness/dist/find-program.js";
import { isRoot, NOBODY, runAsNobody } from "../../../../harness/dist/other-user.js";
import { KeptDirectory } from "../../dist/primary/kept-directory.js";
import { RendezvousKeeper } from "../../dist/primary/rendezvous-keeper.js";
import { socketPath } from "../../dist/rendezvous/private-directory.js";
import type { Trouble } from "../../dist/wire/messages.js";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "hf-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const OWN = process.geteuid?.() ?? -1;
const SOMEBODY = NOBODY - 1;
skipsWithout(isRoot, "Only root can give a directory to somebody else. Run the tests as root.");
const asRoot = test.skipIf(!isRoot);

/** A keeper of which the places are known, of the names `a`, `b`, …. */
function keeperOf(count: number) {
  const places = Array.from({ length: count }, (_, i) => join(home, String.fromCharCode(97 + i)));
  for (const place of places) mkdirSync(place);
  const kept = new KeptDirectory(() => places);
  const keeper = new RendezvousKeeper(kept);
  const report = (workerId: number, trouble: Partial<Trouble>) => {
    const { edition } = keeper.secrets;
    const all = { what: "failed", edition, uid: OWN, code: "ENOTSUP", text: "listen", ...trouble } as const;
    const { isChanged, warning } = keeper.mend(workerId, all);
    return [isChanged, warning?.code.slice("HOLDFAST_ERR_".length), warning?.message] as const;
  };
  return { keeper, kept, places, report, at: () => dirname(keeper.secrets.directory) };
}

test("a directory that is no good, and no place for another one: it is said once, and nobody asks on and on", () => {
  const { keeper, places, report, at } = keeperOf(2);
  const [, second] = places.splice(0) as [string, string];
  const { directory, edition } = keeper.secrets;
  chmodSync(directory, 0o777);
  const denied = { what: "denied", code: "EACCES" } as const;
  const text = expect.stringMatching(/^The private directory .* There is no place .* cannot be relayed\.$/);
  expect(report(1, denied)).toEqual([false, "PRIVATE_DIRECTORY", text]);
  expect(report(1, denied)).toEqual([false, undefined, undefined]);
  expect(report(2, denied)).toEqual([false, undefined, undefined]);
  expect(keeper.secrets).toMatchObject({ directory, edition });
  // Nor is it said that it was made anew.
  expect(report(1, { what: "removed" })).toEqual([false, undefined, undefined]);
  places.push(second);
  expect(report(2, denied)).toEqual([true, undefined, undefined]);
  expect(at()).toBe(second);
});

test("its place is gone: it is said where another one was made, or why not", () => {
  const { report, places, at } = keeperOf(2);
  const [first, second] = places as [string, string];
  rmSync(first, { recursive: true });
  const moved = expect.stringMatching(
    /was removed: x\. The private directory is another one now, .*\/b\/holdfast/,
  );
  expect(report(1, { what: "removed", text: "x" })).toEqual([true, "PRIVATE_DIRECTORY", moved]);
  expect(at()).toBe(second);
  rmSync(second, { recursive: true });
  const none = expect.stringMatching(/There is no place.*ENOENT.*cannot be relayed\.$/);
  expect(report(1, { what: "removed", text: "x" })).toEqual([false, "PRIVATE_DIRECTORY", none]);
});

test("a directory that was removed is made anew; that is said once, whoever has noticed, and told to all", () => {
  const { keeper, report } = keeperOf(1);
  const { directory } = keeper.secrets;
  rmSync(directory, { recursive: true });
  const text = expect.stringContaining("It was made anew.");
  expect(report(1, { what: "removed" })).toEqual([true, "PRIVATE_DIRECTORY", text]);
  expect(lstatSync(directory).mode & 0o777).toBe(0o700);
  // A worker has been faster.
  expect(report(2, { what: "removed" })).toEqual([false, undefined, undefined]);
});

test("what workers report of a former directory moves nobody again", () => {
  const { keeper, report, at, places } = keeperOf(3);
  const { edition } = keeper.secrets;
  expect(report(1, { edition })).toEqual([true, "PRIVATE_SOCKET", expect.any(String)]);
  for (const what of ["failed", "denied", "removed"] as const) {
    expect(report(2, { what, edition })).toEqual([false, undefined, undefined]);
  }
  expect(at()).toBe(places[1]);
  expect(places.map((place) => readdirSync(place).length)).toEqual([0, 1, 0]);
});

test("that another directory was made does not hide that its sockets fail as well", () => {
  const { report } = keeperOf(2);
  const [moved, stays] = ["The private directory is another one now", "cannot be relayed"].map((text) =>
    expect.stringContaining(text),
  );
  const denied = { what: "denied", code: "EACCES" } as const;
  expect(report(1, denied)).toEqual([true, "PRIVATE_SOCKET", moved]);
  expect(report(1, denied)).toEqual([false, "PRIVATE_SOCKET", stays]);
  expect(report(1, denied)).toEqual([false, undefined, undefined]);
});

test("what cannot be removed of a worker that is gone ends nobody else", () => {
  const { keeper } = keeperOf(1);
  mkdirSync(socketPath(keeper.secrets.directory, 1));
  expect(() => keeper.forget(1)).not.toThrow();
});

asRoot("whoever works with the directory keeps it, also when it is another one", () => {
  const { keeper, report, at, places } = keeperOf(2);
  expect(keeper.admit(NOBODY)).toEqual({ isChanged: true, warning: undefined });
  expect(report(1, { uid: NOBODY })).toEqual([true, "PRIVATE_SOCKET", expect.any(String)]);
  expect(at()).toBe(places[1]);
  const text = expect.stringContaining(`A worker runs as user ${SOMEBODY},`);
  expect(report(2, { what: "denied", uid: SOMEBODY })).toEqual([false, "WORKER_USER", text]);
  expect(lstatSync(keeper.secrets.directory).uid).toBe(NOBODY);
  expect(keeper.admit(NOBODY)).toEqual({ isChanged: false, warning: undefined });
});

asRoot("one that a worker has made anew before the primary has looked is theirs from then on", () => {
  const { keeper, kept } = keeperOf(1);
  const { directory, edition } = keeper.secrets;
  rmSync(directory, { recursive: true });
  mkdirSync(directory, { mode: 0o700 });
  chownSync(directory, NOBODY, NOBODY);
  expect(keeper.admit(NOBODY)).toEqual({ isChanged: true, warning: undefined });
  expect(keeper.secrets).toMatchObject({ directory, edition: edition + 1 });
  expect(keeper.admit(NOBODY)).toEqual({ isChanged: false, warning: undefined });
  kept.remove();
  expect(readdirSync(dirname(directory))).toEqual([]);
});

/** As a worker of that user makes it anew. */
function remake(directory: string, uid: number): void {
  rmSync(directory, { recursive: true });
  mkdirSync(directory, { mode: 0o700 });
  chownSync(directory, uid, uid);
}

asRoot(
  "one that another user's worker has made anew stays theirs who work with it: they get another one",
  () => {
    const { keeper, report, at, places } = keeperOf(2);
    keeper.admit(NOBODY);
    const { directory, edition } = keeper.secrets;
    remake(directory, SOMEBODY);
    const text = expect.stringContaining(`A worker runs as user ${SOMEBODY},`);
    expect(report(2, { what: "denied", uid: SOMEBODY })).toEqual([false, "WORKER_USER", text]);
    expect(keeper.admit(SOMEBODY)).toEqual({ isChanged: false, warning: undefined });
    expect(keeper.secrets).toMatchObject({ directory, edition });
    expect(report(1, { what: "denied", uid: NOBODY })).toEqual([true, undefined, undefined]);
    expect(at()).toBe(places[1]);
    expect(lstatSync(keeper.secrets.directory).uid).toBe(NOBODY);
  },
);

asRoot("a worker that has given up its rights and made it anew says so: it is theirs, where it was", () => {
  const { keeper, report } = keeperOf(2);
  const { directory, edition } = keeper.secrets;
  remake(directory, NOBODY);
  const text = expect.stringContaining("It was made anew.");
  expect(report(1, { what: "removed", uid: NOBODY })).toEqual([true, "PRIVATE_DIRECTORY", text]);
  expect(keeper.secrets).toMatchObject({ directory, edition: edition + 1 });
  expect(keeper.admit(NOBODY)).toEqual({ isChanged: false, warning: undefined });
});

asRoot("that another user's worker has made it anew is no reason to leave the others without one", () => {
  const { keeper, report, at, places } = keeperOf(2);
  keeper.admit(NOBODY);
  remake(keeper.secrets.directory, SOMEBODY);
  const text = expect.stringContaining("is another one now");
  expect(report(2, { what: "removed", uid: SOMEBODY })).toEqual([true, "PRIVATE_DIRECTORY", text]);
  expect(at()).toBe(places[1]);
  expect(lstatSync(keeper.secrets.directory).uid).toBe(NOBODY);
});

asRoot("a primary that may give nothing away notes whose it is that its workers have made anew", () => {
  const prepared = join(home, "prepared");
  mkdirSync(prepared, { mode: 0o700 });
  chownSync(prepared, SOMEBODY, SOMEBODY);
  chmodSync(home, 0o777);
  const { stdout, stderr } = runAsNobody(
    new URL("../../dist/primary/kept-directory.js", import.meta.url),
    `const { renameSync, rmSync } = process.getBuiltinModule("node:fs");
    const kept = new module.KeptDirectory(() => [${JSON.stringify(home)}]);
    rmSync(kept.path, { recursive: true });
    renameSync(${JSON.stringify(prepared)}, kept.path);
    const fittings = [kept.fitFor(${SOMEBODY}), kept.fitFor(${SOMEBODY}), kept.fitFor(undefined)];
    console.log(JSON.stringify([...fittings, kept.edition, kept.isSafe()]));`,
  );
  expect([stdout.trim(), stderr]).toEqual(['["mended","fit","fit",2,true]', ""]);
});

asRoot("a socket that a worker has opened as root is made over to the others' user", async () => {
  const { keeper, report } = keeperOf(1);
  keeper.admit(NOBODY);
  const path = socketPath(keeper.secrets.directory, 1);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const denied = { what: "denied", uid: NOBODY, code: "EACCES" } as const;
  expect(report(2, denied)).toEqual([true, undefined, undefined]);
  expect(lstatSync(path).uid).toBe(NOBODY);
  // It belongs to the right user, so that is not what is wrong.
  expect(report(2, denied)).toEqual([false, "PRIVATE_SOCKET", expect.any(String)]);
  await new Promise((resolve) => server.close(resolve));
});
