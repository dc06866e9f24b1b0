import { expect, test } from "vitest";
import { HoldfastError } from "../../dist/errors.js";
import type { PrimaryOptions } from "../../dist/options.js";
import { resolvePrimaryOptions } from "../../dist/primary/resolve-options.js";
import { resolveWorkerOptions } from "../../dist/worker/resolve-options.js";

test("the defaults", () => {
  const resolved = resolvePrimaryOptions();
  expect(resolved).toEqual({
    loadBalancingMethod: "least-connection",
    name: "default",
    headTimeoutMs: 10_000,
    maxHeadBytes: 16_384,
    maxPendingConnections: 20_000,
    workerTimeoutMs: 5_000,
    proxyProtocol: false,
    isTrusted: undefined,
    forwardedHeader: "x-forwarded-for",
    ipv6PrefixLength: 64,
    selectWorker: undefined,
    slotOf: undefined,
    hosts: undefined,
    hostAddress: undefined,
    hostPort: 0,
    hostBind: undefined,
    hostTls: undefined,
  });
  expect(Object.isFrozen(resolved)).toBe(true);
  expect(resolveWorkerOptions()).toEqual({ name: "default" });
});

test.each<[string, unknown[]]>([
  ["loadBalancingMethod", ["", "fastest", "Hash", 1, null]],
  ["name", ["", "x".repeat(65), 7]],
  ["headTimeout", [0, -1, 1.5, "5", Number.NaN, 2 ** 31]],
  ["maxHeadSize", [255, 65_537, "1k"]],
  ["maxPendingConnections", [0, 1_000_001]],
  ["workerTimeout", [-1, 2 ** 31]],
  ["proxyProtocol", ["true", 1]],
  ["trustedProxies", ["10.0.0.0/8", [7], ["10.0.0.0/99"]]],
  ["forwardedHeader", ["x-real-ip", true]],
  ["ipv6PrefixLength", [0, 129]],
  ["selectWorker", [7, "x"]],
  ["hosts", [7, {}, { name: "a", publish: () => {} }]],
  ["hostAddress", ["", "a b", "http://a", 7, "x".repeat(254)]],
  ["hostBind", ["", "a/b", true]],
  ["hostPort", [-1, 65_536, 1.5, "80"]],
])("%s is checked", (key, values) => {
  for (const value of values) {
    const wrong = () => resolvePrimaryOptions({ [key]: value } as PrimaryOptions);
    if (value === null) continue;
    expect(wrong, String(value)).toThrow(HoldfastError);
    expect(wrong).toThrow(expect.objectContaining({ code: "HOLDFAST_ERR_INVALID_OPTION" }));
    expect(wrong).toThrow(key);
  }
});

test("an unknown option is refused, with the known ones", () => {
  expect(() => resolvePrimaryOptions({ loadBalancing: "hash" } as PrimaryOptions)).toThrow(
    /no option "loadBalancing"; it knows .*loadBalancingMethod/,
  );
  expect(() => resolveWorkerOptions({ port: 1 } as never)).toThrow(/setupWorker\(\) has no option "port"/);
  expect(() => resolvePrimaryOptions([] as never)).toThrow(/takes an object of options/);
});
