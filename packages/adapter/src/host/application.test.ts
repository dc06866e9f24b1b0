import { chmodSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { directoryOf } from "../../dist/host/application.js";

const PM2 = {
  pm_id: "3",
  exec_mode: "cluster_mode",
  PM2_HOME: "/home/app/.pm2",
  namespace: "default",
  name: "app",
  pm_exec_path: "/srv/app/server.js",
};

let own: string;
beforeEach(() => {
  own = mkdtempSync(join(tmpdir(), "hf-"));
});
afterEach(() => rmSync(own, { recursive: true, force: true }));

const nameOf = (env: NodeJS.ProcessEnv) => basename(directoryOf(env));

test("workers that PM2 runs under one name are one application, whatever their number", () => {
  expect(nameOf({ ...PM2, pm_id: "4" })).toBe(nameOf(PM2));
  expect(nameOf({ ...PM2, NODE_APP_INSTANCE: "1" })).toBe(nameOf(PM2));
});

test.each<NodeJS.ProcessEnv>([
  { name: "other" },
  { namespace: "other" },
  { PM2_HOME: "/home/other/.pm2" },
  { pm_exec_path: "/srv/copy/server.js" },
])("with %j it is another application", (difference) => {
  expect(nameOf({ ...PM2, ...difference })).not.toBe(nameOf(PM2));
});

test("workers of a primary that PM2 runs as a single process go by their parent", () => {
  expect(nameOf({ ...PM2, exec_mode: "fork_mode" })).toBe(nameOf({}));
  expect(nameOf({})).not.toBe(nameOf(PM2));
});

test("it is in XDG_RUNTIME_DIR if that is this user's alone, and short enough for a socket", () => {
  expect(dirname(directoryOf({ XDG_RUNTIME_DIR: own }))).toBe(own);
  chmodSync(own, 0o755);
  for (const place of [own, join(own, "missing"), "relative"]) {
    expect(dirname(directoryOf({ XDG_RUNTIME_DIR: place }))).toBe(tmpdir());
  }
});

function withTemporary(directory: string, look: () => void): void {
  vi.stubEnv("TMPDIR", directory);
  try {
    look();
  } finally {
    vi.unstubAllEnvs();
  }
}

test("where the temporary folder's path is too long for a socket, it is in /tmp", () => {
  withTemporary(join(own, "x".repeat(80)), () => expect(dirname(directoryOf({}))).toBe("/tmp"));
});

test("a temporary folder is seen from where the process is then: the hub process is elsewhere", () => {
  withTemporary("relative", () => expect(dirname(directoryOf({}))).toBe(resolve("relative")));
});

/** Goes to a directory that is removed then, as one where Node.js was started without a file. */
function goNowhere(): void {
  const [before, gone] = [process.cwd(), mkdtempSync(join(tmpdir(), "hf-"))];
  const { argv } = process;
  onTestFinished(() => {
    process.chdir(before);
    process.argv = argv;
  });
  process.argv = argv.slice(0, 1);
  process.chdir(gone);
  rmdirSync(gone);
}

test("where the working directory has been removed, a relative temporary folder is none", () => {
  goNowhere();
  withTemporary("relative", () => expect(dirname(directoryOf({}))).toBe("/tmp"));
});
