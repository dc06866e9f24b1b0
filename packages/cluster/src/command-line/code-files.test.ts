import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CodeFiles } from "../../dist/command-line/code-files.js";

const files = new CodeFiles();
let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "hf-"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true });
});

const privately = (name: string) => mkdirSync(join(directory, name), { mode: 0o700 });
const found = () => [...files.in(directory).keys()].sort();
/** What an event of each name would be taken for. */
const isCode = (...names: string[]) =>
  expect(names.filter((name) => files.kindOf(directory, name) === "code")).toEqual(found());

test("files, directories and links can be code; what is hidden or installed cannot", () => {
  writeFileSync(join(directory, "app.mjs"), "");
  writeFileSync(join(directory, ".env"), "");
  symlinkSync("nowhere", join(directory, "link"));
  for (const name of ["lib", "node_modules", ".git"]) privately(name);
  expect(found()).toEqual(["app.mjs", "lib", "link"]);
  isCode(".env", ".git", "app.mjs", "lib", "link", "missing", "node_modules");
});

test("sockets cannot be code", async () => {
  const server = createServer().listen(join(directory, "app.sock"));
  await once(server, "listening");
  expect(found()).toEqual([]);
  isCode("app.sock");
  server.close();
});

test.each(["TMPDIR", "XDG_RUNTIME_DIR"])(
  "nor can private directories in $%s, if they are private",
  (name) => {
    const own = ["holdfast-0", "holdfast-a1B2c3", "holdfast-0-0123456789abcdef"];
    for (const each of [...own, "holdfast-application"]) privately(each);
    mkdirSync(join(directory, "holdfast-server"), { mode: 0o755 });
    const all = [...own, "holdfast-application", "holdfast-server"].sort();
    expect(found()).toEqual(all);
    isCode(...all);
    vi.stubEnv(name, directory);
    expect(found()).toEqual(["holdfast-application", "holdfast-server"]);
    isCode(...all);
  },
);

test.runIf(process.platform === "linux")("nor what the system shows in the root directory", () => {
  const names = ["dev", "proc", "sys"];
  expect(names.filter((name) => files.in("/").has(name))).toEqual([]);
  expect(names.map((name) => files.kindOf("/", name))).toEqual(["none", "none", "none"]);
});
