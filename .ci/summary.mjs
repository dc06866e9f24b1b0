/**
 * Sums up vitest's JSON reports: names what failed or was skipped, ends with the line "N passed, N failed".
 * A skipped test counts as failed: in CI nothing has a reason to be skipped.
 * Usage: node .ci/summary.mjs <exit code of the tests> <report ...>, also for runs that made no report
 */
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";

const MAX_REASON_LINES = 12;
const MAX_LINE_LENGTH = 300;

const [, , exitCode, ...paths] = process.argv;
const faults = [];
let passed = 0;

for (const path of paths) {
  const run = basename(path, ".json");
  const results = readReport(path);
  if (results === undefined)
    faults.push(`FAILED ${run}: no test has run, since something before them failed`);
  for (const { name, status, message, assertionResults } of results ?? []) {
    if (status === "failed" && assertionResults.length === 0)
      faults.push(`FAILED ${run}: ${name}: ${message}`);
    for (const test of assertionResults) {
      if (test.status === "passed") passed++;
      else if (test.status === "failed") faults.push(`FAILED ${run}: ${test.fullName}\n${reasonOf(test)}`);
      else faults.push(`SKIPPED ${run}: ${test.fullName}`);
    }
  }
}
if (faults.length === 0 && exitCode !== "0")
  faults.push(`FAILED the test command, with exit code ${exitCode}`);
if (faults.length === 0 && passed === 0) faults.push("FAILED no test has run");

for (const fault of faults) console.log(fault);
console.log(`${passed} passed, ${faults.length} failed`);
process.exitCode = faults.length === 0 ? 0 : 1;

/** Where a long log is cut, the reason of a failure would be lost with the middle of it. */
function reasonOf({ failureMessages }) {
  const lines = failureMessages.join("\n").split("\n");
  return lines
    .slice(0, MAX_REASON_LINES)
    .map((line) => `    ${line.slice(0, MAX_LINE_LENGTH)}`)
    .join("\n");
}

/** No report means that the build or the linter stopped the run before its tests. */
function readReport(path) {
  if (!existsSync(path)) return undefined;
  return JSON.parse(readFileSync(path, "utf8")).testResults;
}
