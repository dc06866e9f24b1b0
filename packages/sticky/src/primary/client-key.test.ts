import { expect, test } from "vitest";
import { clientKey } from "../../dist/primary/client-key.js";

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["0:0:0:0:0:ffff:c000:201", "192.0.2.1"],
])("%s counts as %s", (address, key) => {
  expect(clientKey(address, 64)).toBe(key);
});

test("IPv6 addresses count by their prefix", () => {
  expect(clientKey("2001:db8:1:2:3:4:5:6", 64)).toBe(clientKey("2001:db8:1:2::", 64));
  expect(clientKey("2001:db8:1:2:3:4:5:6", 64)).not.toBe(clientKey("2001:db8:1:3::", 64));
  expect(clientKey("2001:db8:1:2:3:4:5:6", 48)).toBe(clientKey("2001:db8:1:3::", 48));
  expect(clientKey("2001:db8::1", 128)).not.toBe(clientKey("2001:db8::2", 128));
  expect(clientKey("2001:db8::8000", 113)).toBe(clientKey("2001:db8::ffff", 113));
  expect(clientKey("fe80::1%eth0", 64)).toBe(clientKey("fe80::2", 64));
});
