/** What is known of the other hosts while the backplane goes and comes back, with a clock that the test moves. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { uncaughtOf } from "../../../../harness/dist/uncaught-of.js";
import { KnownHosts } from "../../dist/hub/known-hosts.js";

const RETURN_MS = 5_000;
const told: string[] = [];
const suspected: string[] = [];
let known: KnownHosts;
let changes = 0;

/** What is known of the others, as words. */
const others = () => known.others.map(({ name, address }) => `${name}@${address}`);

beforeEach(() => {
  vi.useFakeTimers();
  told.length = suspected.length = changes = 0;
  known = new KnownHosts("self", {
    returnMs: RETURN_MS,
    publish: async (address) => void told.push(address),
    suspect: (host) => void suspected.push(host),
  });
  known.on("change", () => changes++);
  known.onJoined("secret", [
    { host: "a", address: "1" },
    { host: "b", address: undefined },
  ]);
  known.onAddress("b", "2");
});

afterEach(() => {
  known.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test("a listener that throws is uncaught, and what is told of hosts goes on", () => {
  known.removeAllListeners("change");
  known.on("change", () => {
    throw new Error("mine");
  });
  // The router listens there, too.
  known.on("change", () => changes++);
  const before = changes;
  const uncaught = uncaughtOf(() => {
    known.onAddress("a", "3");
    known.onGone("b", "ended");
    known.onJoined("secret", [{ host: "a", address: "3" }]);
  });
  expect(others()).toEqual(["a@3"]);
  expect(uncaught).toHaveLength(3);
  for (const run of uncaught) expect(run).toThrow("mine");
  expect(changes - before).toBe(3);
});

test("a host that is silent while the backplane is there is gone, and so is one that says goodbye", () => {
  expect(others()).toEqual(["a@1", "b@2"]);
  known.onGone("a", "silent");
  expect(others()).toEqual(["b@2"]);
  known.onGone("b", "ended");
  known.onGone("c", "silent");
  expect(others()).toEqual([]);
});

test("the backplane comes back without its data: others are known until they tell anew, or do not come back", () => {
  known.onAlone();
  vi.advanceTimersByTime(10 * RETURN_MS);
  known.onJoined("another secret", [{ host: "b", address: undefined }]);
  expect(others()).toEqual(["a@1", "b@2"]);
  const before = changes;
  known.onHost("a");
  known.onAddress("a", "1");
  expect(changes).toBe(before);
  known.onAddress("b", "3");
  expect(others()).toEqual(["a@1", "b@3"]);
  vi.advanceTimersByTime(RETURN_MS);
  expect(others()).toEqual(["a@1", "b@3"]);
  expect(changes).toBe(before + 1);
});

test("who does not come back in time is gone, and one that is there need not tell anything new", () => {
  known.onAlone();
  known.onJoined("secret", [{ host: "b", address: undefined }]);
  vi.advanceTimersByTime(RETURN_MS - 1);
  expect(others()).toEqual(["a@1", "b@2"]);
  vi.advanceTimersByTime(1);
  expect(others()).toEqual(["b@2"]);
});

test("leases that have ended while the backplane was away say nothing of their hosts", () => {
  known.onBack();
  known.onGone("a", "silent");
  known.onGone("b", "silent");
  known.onGone("c", "silent");
  expect(others()).toEqual(["a@1", "b@2"]);
  known.onHost("a");
  vi.advanceTimersByTime(RETURN_MS);
  expect(others()).toEqual(["a@1"]);
  known.onGone("a", "silent");
  expect(others()).toEqual([]);
});

test("what a host takes back, and one that has ended, are not waited for; one that is suspected stays", () => {
  known.onAlone();
  known.onJoined("secret", [{ host: "b", address: "" }]);
  expect(others()).toEqual(["a@1", "b@"]);
  known.suspect("a");
  known.suspect("nobody");
  expect(others()).toEqual(["a@1", "b@"]);
  expect(suspected).toEqual(["a"]);
  known.onGone("a", "ended");
  known.onAddress("b", "2");
  known.onGone("b", "ended");
  expect(others()).toEqual([]);
});

test("the backplane goes away again before all are back: nothing is over meanwhile", () => {
  known.onAlone();
  known.onJoined("secret", []);
  known.onAlone();
  vi.advanceTimersByTime(10 * RETURN_MS);
  expect(others()).toEqual(["a@1", "b@2"]);
  known.onJoined("secret", []);
  vi.advanceTimersByTime(RETURN_MS);
  expect(others()).toEqual([]);
});

test("what this host has published is told anew when it has joined anew, and so is that it has taken it back", async () => {
  known.onJoined("secret", []);
  expect(told).toEqual([]);
  await known.publish("here");
  known.onJoined("secret", []);
  await known.publish("");
  known.onJoined("secret", []);
  expect(told).toEqual(["here", "here", "", ""]);
});
