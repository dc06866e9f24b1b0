/** Where control sockets can be, when what the environment says leads nowhere. */
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { controlDirectory, controlSockets } from "../../dist/control/directory.js";

test("a relative temporary folder of a working directory that has been removed holds none, and that is told", () => {
  const [before, gone] = [process.cwd(), mkdtempSync(join(tmpdir(), "hf-"))];
  vi.stubEnv("XDG_RUNTIME_DIR", "");
  vi.stubEnv("TMPDIR", "temporary");
  onTestFinished(() => {
    process.chdir(before);
    vi.unstubAllEnvs();
  });
  process.chdir(gone);
  rmdirSync(gone);
  expect(controlSockets()).toEqual({ paths: [], unreadable: [] });
  expect(() => controlDirectory(["api.sock"])).toThrow(
    expect.objectContaining({
      code: "HOLDFAST_ERR_CONTROL_SOCKET",
      message: expect.stringContaining("the working directory has been removed: set TMPDIR."),
    }),
  );
});
