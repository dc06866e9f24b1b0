import { expect, test } from "vitest";
import { gistOf } from "../../dist/watch/last-words.js";

test.each([
  [
    "an error that nobody caught",
    "/app/db.js:3\n  throw e;\n  ^\n\nError: connect ECONNREFUSED 10.0.3.12:5432\n    at x\n\nNode.js v24.1.0\n",
    "Error: connect ECONNREFUSED 10.0.3.12:5432",
  ],
  [
    "one with a code and more fields",
    "TypeError [ERR_X]: no\n    at x {\n  code: 'ERR_X'\n}\n\nNode.js v20.19.0",
    "TypeError [ERR_X]: no",
  ],
  ["the last of several", "Error: first\n    at x\nRangeError: second\n    at y\n", "RangeError: second"],
  [
    "out of memory",
    "<--- Last few GCs --->\n\nFATAL ERROR: Reached heap limit\n 1: 0xb\n",
    "FATAL ERROR: Reached heap limit",
  ],
  ["words of its own", "Cannot open the database.\n", "Cannot open the database."],
  ["nothing", "\n", ""],
])("%s", (_, lastWords, gist) => {
  expect(gistOf(lastWords)).toBe(gist);
});

test("a line has an end", () => {
  expect(gistOf(`Error: ${"x".repeat(2_000)}`)).toHaveLength(160);
});
