import { expect, test } from "vitest";
import { drawHostName, hostnameOf } from "../../dist/wire/host-name.js";

test.each([
  ["web-1", "web-1"],
  ["web-1.example.com", "web-1.example.com"],
  ["a b\0c\n/€", "abc"],
  ["", ""],
  ["x".repeat(300), "x".repeat(64)],
])("the name of a host on %j tells what its system calls it, and is no other's", (hostname, told) => {
  const [one, two] = [drawHostName(hostname), drawHostName(hostname)];
  expect(one).not.toBe(two);
  expect([hostnameOf(one), hostnameOf(two)]).toEqual([told, told]);
  // It is part of keys, and of messages that have one byte for its length.
  expect(one).toMatch(/^[\w.-]{1,128}$/);
});
