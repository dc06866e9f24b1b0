import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { resolveAdapterOptions, resolvePrimaryOptions } from "../dist/options.js";

const refused = expect.objectContaining({ code: "HOLDFAST_ERR_INVALID_OPTION" });

describe("options of createAdapter()", () => {
  test("have no relative path of a hub where the working directory has been removed", () => {
    const [before, gone] = [process.cwd(), mkdtempSync(join(tmpdir(), "hf-"))];
    onTestFinished(() => process.chdir(before));
    process.chdir(gone);
    rmdirSync(gone);
    expect(() => resolveAdapterOptions({ hub: { path: "hub.sock" } })).toThrow(refused);
    expect(resolveAdapterOptions({ hub: { path: "/run/hub.sock" } }).hub).toEqual({ path: "/run/hub.sock" });
  });

  test("have the documented defaults and are frozen", () => {
    const options = resolveAdapterOptions();
    expect(options).toMatchObject({ requestsTimeout: 5000, interest: true, scope: undefined, hub: "auto" });
    expect(Object.isFrozen(options)).toBe(true);
  });

  test.each([
    [{ requestsTimeout: 0 }],
    [{ requestsTimeout: 1.5 }],
    [{ requestsTimeout: "5000" }],
    [{ requestsTimeout: 2 ** 31 }],
    [{ interest: "yes" }],
    [{ scope: 1 }],
    [{ onError: "log" }],
    [{ hub: "/run/hub.sock" }],
    [{ hub: {} }],
    [{ hub: { path: "" } }],
    [{ hub: { path: "a\0b" } }],
    [{ hub: { path: "/run/hub.sock", start: true } }],
    [{ requestTimeout: 5000 }],
    [null],
    ["fast"],
  ])("refuse %j", (input) => {
    expect(() => resolveAdapterOptions(input as never)).toThrow(refused);
  });

  test("say what would be right", () => {
    expect(() => resolveAdapterOptions({ requestsTimeout: 0 })).toThrow(
      'The option "requestsTimeout" of createAdapter() must be an integer from 1 to 2147483647, not 0.',
    );
    expect(() => resolveAdapterOptions({ timeout: 1 } as never)).toThrow(
      'createAdapter() has no option "timeout"; it knows requestsTimeout, scope, interest, hub, backplane, onError.',
    );
  });

  test.each([
    [{ requestsTimeout: 1 }],
    [{ requestsTimeout: 2 ** 31 - 1 }],
    [{ scope: "" }],
    [{ hub: { path: "/run/hub.sock" } }],
    [{}],
  ])("accept %j", (input) => {
    expect(resolveAdapterOptions(input)).toMatchObject(input);
  });
});

describe("options of setupPrimary()", () => {
  test("have the documented defaults", () => {
    expect(resolvePrimaryOptions()).toEqual({
      link: "pipe",
      maxBacklogBytes: 64 * 2 ** 20,
      stallTimeout: 10_000,
      maxMessageBytes: 32 * 2 ** 20,
      journalBytes: 64 * 2 ** 20,
      killStalled: true,
    });
  });

  test("keep the message limit within the backlog's", () => {
    expect(resolvePrimaryOptions({ maxBacklogBytes: 2 ** 20 }).maxMessageBytes).toBe(2 ** 20);
    expect(() => resolvePrimaryOptions({ maxBacklogBytes: 2 ** 20, maxMessageBytes: 2 ** 21 })).toThrow(
      refused,
    );
  });

  test.each([
    [{ link: "tcp" }],
    [{ maxBacklogBytes: 1 }],
    [{ maxMessageBytes: 65535 }],
    [{ stallTimeout: 99 }],
    [{ killStalled: 1 }],
    [{ pipe: true }],
  ])("refuse %j", (input) => {
    expect(() => resolvePrimaryOptions(input as never)).toThrow(refused);
  });
});
