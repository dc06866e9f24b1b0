/**
 * Runs a command that is no test, and reports on it as vitest does on a test: so it counts in the last line of the run.
 * Usage: HOLDFAST_TEST_REPORT=<path> node .ci/check.mjs <name> <command ...>
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";

/** What is wrong is said at the end. */
const MAX_TAIL_LENGTH = 2_000;

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
  const failureMessages = isGood ? [] : [`${tail.trimEnd()}\nended with ${signal ?? code}`];
  const assertionResults = [{ fullName: name, status: isGood ? "passed" : "failed", failureMessages }];
  writeFileSync(
    process.env.HOLDFAST_TEST_REPORT,
    JSON.stringify({ testResults: [{ name, status: "passed", message: "", assertionResults }] }),
  );
  process.exitCode = isGood ? 0 : 1;
});
