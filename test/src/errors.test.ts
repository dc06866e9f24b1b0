import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createMover } from "@holdfast/adapter";
import { expect, test } from "vitest";
import { HoldfastError, RequestError } from "../../packages/adapter/dist/errors.js";

/** Loads a copy of the module, as a second one in another node_modules would be. */
async function secondCopyOf<M>(specifier: string): Promise<M> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-errors-"));
  const path = join(folder, "errors.mjs");
  const source = readFileSync(new URL(specifier, import.meta.url), "utf8");
  writeFileSync(path, source.replace(/^\/\/# sourceMappingURL.*$/m, ""));
  try {
    return (await import(/* @vite-ignore */ pathToFileURL(path).href)) as M;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("errors are known across copies of a package and across both packages", async () => {
  const copy = await secondCopyOf<typeof import("../../packages/adapter/dist/errors.js")>(
    "../../packages/adapter/dist/errors.js",
  );
  const sticky = await secondCopyOf<typeof import("../../packages/sticky/dist/errors.js")>(
    "../../packages/sticky/dist/errors.js",
  );
  expect(copy.HoldfastError).not.toBe(HoldfastError);
  const theirs = new copy.HoldfastError("HOLDFAST_ERR_CLOSED", "text");
  const request = new copy.RequestError("HOLDFAST_ERR_REQUEST_TIMEOUT", "text", [], []);
  const ofSticky = new sticky.HoldfastError("HOLDFAST_ERR_NOT_ATTACHED", "text");
  for (const error of [theirs, request, ofSticky]) {
    expect(error).toBeInstanceOf(HoldfastError);
    expect(error).toBeInstanceOf(sticky.HoldfastError);
  }
  expect(request).toBeInstanceOf(RequestError);
  expect(theirs).not.toBeInstanceOf(RequestError);
});

test("nothing else is taken for one", () => {
  class Derived extends HoldfastError {}
  const derived = new Derived("HOLDFAST_ERR_CLOSED", "text");
  expect(derived).toBeInstanceOf(Derived);
  expect(derived).toBeInstanceOf(HoldfastError);
  expect(new HoldfastError("HOLDFAST_ERR_CLOSED", "text")).not.toBeInstanceOf(Derived);
  for (const value of [new Error("text"), { code: "HOLDFAST_ERR_CLOSED" }, null, undefined, "text", 1]) {
    expect(value).not.toBeInstanceOf(HoldfastError);
    expect(value).not.toBeInstanceOf(RequestError);
  }
});

test.each([undefined, null, {}, "io"])("a mover is not made for %j", (io) => {
  const refused = expect.objectContaining({ code: "HOLDFAST_ERR_INVALID_OPTION" });
  expect(() => createMover(io as never)).toThrow(refused);
});
