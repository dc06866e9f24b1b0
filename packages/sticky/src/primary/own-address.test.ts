import type { NetworkInterfaceInfo } from "node:os";
import { expect, test } from "vitest";
import { ownAddress } from "../../dist/primary/own-address.js";

const v4 = (address: string, internal = false) =>
  ({ address, family: "IPv4", internal }) as NetworkInterfaceInfo;
const v6 = (address: string, scopeid = 0) =>
  ({ address, family: "IPv6", internal: address === "::1", scopeid }) as NetworkInterfaceInfo;

test("the first address that others may reach, IPv4 before IPv6", () => {
  expect(ownAddress({ lo: [v4("127.0.0.1", true), v6("::1")] })).toBe("127.0.0.1");
  expect(ownAddress({ lo: [v4("127.0.0.1", true)], eth0: [v6("fd00::1"), v4("10.0.0.1")] })).toBe("10.0.0.1");
  expect(ownAddress({ eth0: [v6("fe80::1", 2), v6("fd00::1")], eth1: undefined })).toBe("fd00::1");
  expect(ownAddress({})).toBe("127.0.0.1");
});
