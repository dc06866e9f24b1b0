/** The last line of a CI run counts what ran, tests or not. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram } from "@holdfast/harness";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "./harness/markdown.js";

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "hf-ci-"));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Runs a command as `.ci/run` does, and sums up. */
async function checked(...command: string[]) {
  const path = join(directory, "site.json");
  const env = { HOLDFAST_TEST_REPORT: path };
  const check = await runProgram(process.execPath, [".ci/check.mjs", "the site", ...command], {
    cwd: ROOT,
    env,
  });
  const summary = [".ci/summary.mjs", String(check.code), path];
  const { code, stdout } = await runProgram(process.execPath, summary, { cwd: ROOT });
  return { check, code, lines: stdout.trimEnd().split("\n") };
}

test("what succeeds counts as passed", async () => {
  const { check, code, lines } = await checked(process.execPath, "-e", "console.log('built')");
  expect([check.code, check.stdout]).toEqual([0, "built\n"]);
  expect([code, lines]).toEqual([0, ["1 passed, 0 failed"]]);
});

test("what fails counts as failed, with what it said last", async () => {
  const { check, code, lines } = await checked(
    process.execPath,
    "-e",
    "console.error('dead link: ./gone'); process.exit(3)",
  );
  expect(check.code).toBe(1);
  expect(code).toBe(1);
  expect(lines).toEqual([
    "FAILED site: the site",
    "    dead link: ./gone",
    "    ended with 3",
    "0 passed, 1 failed",
  ]);
});

test("what cannot be run counts as failed", async () => {
  const { code, lines } = await checked("/no/such/program");
  expect(code).toBe(1);
  expect(lines).toContain("    spawn /no/such/program ENOENT");
  expect(lines.at(-1)).toBe("0 passed, 1 failed");
});
