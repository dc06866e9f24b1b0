import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { readInto, remainingMs } from "../../dist/link/node-internals.js";

test("a child's pipe is read into the given buffer, to its end", async () => {
  const script =
    'require("node:fs").writeSync(3, "one"); setTimeout(() => require("node:fs").writeSync(3, "two"), 20)';
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "inherit", "inherit", "pipe"] });
  const pipe = child.stdio[3] as Socket;
  const buffer = Buffer.alloc(16);
  let text = "";
  const isRead = readInto(pipe, buffer, (bytes) => {
    text += buffer.toString("latin1", 0, bytes);
    return true;
  });
  expect(isRead).toBe(true);
  const closed = [once(pipe, "close"), once(child, "close")];
  await Promise.all(closed);
  expect(text).toBe("onetwo");
});

test("a timer says how long it still runs", async () => {
  expect(remainingMs(null)).toBeUndefined();
  const timer = setTimeout(() => {}, 60_000);
  expect(remainingMs(timer)).toBeGreaterThan(50_000);
  expect(remainingMs(timer)).toBeLessThanOrEqual(60_000);
  clearTimeout(timer);
  expect(remainingMs(timer)).toBeUndefined();
  const fired = await new Promise<NodeJS.Timeout>((resolve) => {
    const soon = setTimeout(() => setImmediate(resolve, soon), 1);
  });
  expect(remainingMs(fired)).toBeUndefined();
});
