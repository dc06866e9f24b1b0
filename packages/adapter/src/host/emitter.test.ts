import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Emitters } from "../../dist/host/emitter.js";
import { Hub } from "../../dist/hub/hub.js";
import { resolvePrimaryOptions } from "../../dist/options.js";

const SWEEP_MS = 10_000;
const ignore = () => {};

let hub: Hub;
let emitters: Emitters;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  hub = new Hub(resolvePrimaryOptions(), {
    onJoin: ignore,
    onLeave: ignore,
    onStalled: ignore,
    onJournalFull: ignore,
    onError: (error) => {
      throw error;
    },
  });
  emitters = new Emitters(hub);
});
afterEach(() => {
  emitters.close();
  hub.close();
  vi.useRealTimers();
});

/** Frames of a local link take a turn each way. */
async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await turn();
}

test("thousands of namespaces that were emitted to leave nothing in the hub, and work when used again", async () => {
  const held = Array.from({ length: 1_000 }, (_, i) => emitters.get(`/user-${i}`, {}));
  for (const emitter of held) emitter.emit("m");
  await settle();
  expect(hub.namespaceCount).toBe(held.length);
  vi.advanceTimersByTime(2 * SWEEP_MS);
  await settle();
  expect(hub.namespaceCount).toBe(0);
  held[7]?.emit("m");
  await settle();
  expect(hub.namespaceCount).toBe(1);
});

test("a namespace in use stays, and so does one whose answers are to come", async () => {
  const used = emitters.get("/used", {});
  const asking = emitters.get("/asking", {});
  used.emit("m");
  const counted = asking.fetchSockets();
  vi.advanceTimersByTime(2 * SWEEP_MS);
  await settle();
  expect(await counted).toEqual([]);
  expect(hub.namespaceCount).toBe(2);
  used.emit("m");
  vi.advanceTimersByTime(SWEEP_MS);
  await settle();
  expect(hub.namespaceCount).toBe(1);
});
