/** A worker that may not use the private directory. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

test("it ends as it would without one, and says so before", () => {
  const directory = mkdtempSync(join(tmpdir(), "hf-"));
  chmodSync(directory, 0);
  const host = "{ accept() {}, tell: ({ what }) => console.log(what), ownerPid: () => process.ppid }";
  const script =
    `import(${JSON.stringify(new URL("../../dist/worker/rendezvous.js", import.meta.url).href)})` +
    `.then(({ Rendezvous: R }) => new R({ directory: ${JSON.stringify(directory)}, edition: 1 }, 1, ${host}).enter())`;
  // Root may enter every directory.
  const user = process.geteuid?.() === 0 ? { uid: 65_534 } : {};
  const { stdout, stderr, status } = spawnSync(process.execPath, ["-e", script], {
    encoding: "utf8",
    ...user,
  });
  rmSync(directory, { recursive: true, force: true });
  expect([stdout.trim(), stderr, status]).toEqual(["denied", "", 0]);
});
