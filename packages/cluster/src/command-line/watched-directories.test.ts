import fs, { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WatchedDirectories } from "../../dist/command-line/watched-directories.js";

let top = "";
let watched: WatchedDirectories;
let onChange: (path: string) => void = () => {};
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "hf-"));
  watched = new WatchedDirectories(
    () => [top],
    (path) => onChange(path),
    (_, error) => {
      throw error;
    },
  );
});
afterEach(() => {
  watched.close();
  rmSync(top, { recursive: true });
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

/** What is told first when something is done. */
async function toldOf(act: () => void): Promise<string> {
  const told = new Promise<string>((resolve) => {
    onChange = resolve;
  });
  act();
  return told;
}

test("after a change, only its directory is looked at, and what is new there", async () => {
  for (const name of ["a/a", "a/b", "b"]) mkdirSync(join(top, name), { recursive: true });
  const look = vi.spyOn(fs, "readdirSync");
  syncBuiltinESMExports();
  const looked = () => look.mock.calls.splice(0).map(([path]) => String(path).slice(top.length));
  expect(watched.refresh()).toBe(top);
  expect(looked().sort()).toEqual(["", "/a", "/a/a", "/a/b", "/b"]);
  const changed = join(top, "a", "app.mjs");
  expect(await toldOf(() => writeFileSync(changed, ""))).toBe(changed);
  expect(watched.refresh()).toBeUndefined();
  expect(looked()).toEqual(["/a"]);
  const made = join(top, "b", "c");
  expect(await toldOf(() => mkdirSync(join(made, "d"), { recursive: true }))).toBe(made);
  expect(watched.refresh()).toBe(made);
  // The system may have told of the file once more.
  expect(looked().filter((path) => path !== "/a")).toEqual(["/b", "/b/c", "/b/c/d"]);
});

test("what has come and gone before anybody looks is no change", async () => {
  watched.refresh();
  const [passing, last] = [join(top, "passing.mjs"), join(top, "last.mjs")];
  const told = toldOf(() => {
    writeFileSync(passing, "");
    rmSync(passing);
    writeFileSync(last, "");
  });
  expect(await told).toBe(last);
  expect(await toldOf(() => rmSync(last))).toBe(last);
});
