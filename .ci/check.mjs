/**
 * Runs a command that is no test, and reports on it as vitest does on a test: so it counts in the last line of the run.
 * Usage: HOLDFAST_TEST_REPORT=<path> node .ci/check.mjs <name> <command ...>
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";

/** What is wrong is said at the end. */
const MAX_TAIL_LENGTH = 4_000;
const MAX_LINES = 10;

const [, , name, command, ...args] = process.argv;
const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
let tail = "";
for (const [from, to] of [
  [child.stdout, process.stdout],
  [child.stderr, process.stderr],
]) {
  from.on("data", (chunk) => {
    to.write(chunk);
    tail = `${tail}${chunk}`.slice(-MAX_TAIL_LENGTH);
  });
}
child.on("error", (error) => {
  tail = error.message;
});
child.on("close", (code, signal) => {
  const isGood = code === 0;
  const lines = tail.split("\n").filter((line) => line.trim() !== "" && !/^\s+at /.test(line));
  const failureMessages = isGood ? [] : [...lines.slice(-MAX_LINES), `ended with ${signal ?? code}`];
  const assertionResults = [{ fullName: name, status: isGood ? "passed" : "failed", failureMessages }];
  writeFileSync(
    process.env.HOLDFAST_TEST_REPORT,
    JSON.stringify({ testResults: [{ name, status: "passed", message: "", assertionResults }] }),
  );
  process.exitCode = isGood ? 0 : 1;
});
