/** A worker that may not use the private directory. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runAsNobody } from "../../../../harness/dist/other-user.js";

test("it ends as it would without one, and says so before", () => {
  const directory = mkdtempSync(join(tmpdir(), "hf-"));
  chmodSync(directory, 0);
  const { stdout, stderr, status } = runAsNobody(
    new URL("../../dist/worker/rendezvous.js", import.meta.url),
    "const host = { accept() {}, tell: ({ what }) => console.log(what), ownerPid: () => process.ppid };" +
      `new module.Rendezvous({ directory: ${JSON.stringify(directory)}, edition: 1 }, 1, host).enter();`,
  );
  rmSync(directory, { recursive: true, force: true });
  expect([stdout.trim(), stderr, status]).toEqual(["denied", "", 0]);
});
