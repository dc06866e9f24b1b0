/** What is refused, with a code and before anything runs; and what looks odd and is right. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { resolveClusterOptions } from "../../dist/supervisor/resolve-options.js";

let directory = "";
let worker = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "hf-"));
  worker = join(directory, "app.mjs");
  writeFileSync(worker, "");
});

afterEach(() => rmSync(directory, { recursive: true }));

describe("the file of the workers", () => {
  test.each<[string, () => string | URL]>([
    ["a path where nothing is", () => join(directory, "nope.mjs")],
    ["a URL where nothing is", () => pathToFileURL(join(directory, "nope.mjs"))],
    ["a directory without anything to run", () => directory],
    ["the URL of one", () => pathToFileURL(directory)],
  ])("is not there: %s", (_, place) => {
    expect(() => resolveClusterOptions({ worker: place() })).toThrow(
      expect.objectContaining({
        code: "HOLDFAST_ERR_WORKER_FILE",
        message: expect.stringContaining(directory),
      }),
    );
  });

  test.each(["file://host/app.mjs", "file:///tmp/a%2Fapp.mjs", "https://host/app.mjs"])(
    "cannot be at %s",
    (url) => {
      const refused = expect.objectContaining({
        code: "HOLDFAST_ERR_INVALID_OPTION",
        message: expect.stringContaining(url),
      });
      expect(() => resolveClusterOptions({ worker: new URL(url) })).toThrow(refused);
    },
  );

  test.each<[string, () => void]>([
    ["index.js", () => writeFileSync(join(directory, "index.js"), "")],
    [
      "package.json",
      () => {
        mkdirSync(join(directory, "lib"));
        writeFileSync(join(directory, "lib", "main.js"), "");
        writeFileSync(join(directory, "package.json"), '{"main":"lib/main.js"}');
      },
    ],
  ])("may be a directory with %s, as for Node.js", (_, prepare) => {
    prepare();
    expect(resolveClusterOptions({ worker: directory }).worker).toBe(directory);
  });

  test("may be a URL", () => {
    expect(resolveClusterOptions({ worker: pathToFileURL(worker) }).worker).toBe(worker);
  });
});

test.each<[string, object]>([
  ["an object without a text", { port: Object.create(null) }],
  ["a list of such objects", { port: [Object.create(null)] }],
  ["a path that ends at a zero", { path: "/tmp/a\0b" }],
  ["a control socket that ends at a zero", { control: "/tmp/a\0b" }],
])("%s is refused with a code", (_, options) => {
  const refused = expect.objectContaining({ code: "HOLDFAST_ERR_INVALID_OPTION" });
  expect(() => resolveClusterOptions({ worker, ...options })).toThrow(refused);
});

test("a socket of Linux that is no file begins with a zero", () => {
  const { listen } = resolveClusterOptions({ worker, path: "\0name" });
  expect(listen).toMatchObject({ path: "\0name" });
});

test.each([
  { args: ["a\0b"] },
  { execArgv: ["--title=a\0b"] },
  { env: { A: "a\0b" } },
  { env: { "A\0B": "b" } },
  { env: { "A=B": "c" } },
  { env: { "": "c" } },
])("what no process can be given is refused: %j", (options) => {
  const refused = expect.objectContaining({ code: "HOLDFAST_ERR_INVALID_OPTION" });
  expect(() => resolveClusterOptions({ worker, ...options })).toThrow(refused);
});
