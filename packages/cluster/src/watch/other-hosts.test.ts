import diagnostics from "node:diagnostics_channel";
import type { AdapterDiagnostics, HostsStats } from "@holdfast/adapter";
import { afterEach, beforeEach, expect, test } from "vitest";
import { OtherHosts } from "../../dist/watch/other-hosts.js";

let hosts: OtherHosts;
let told: string[];
beforeEach(() => {
  told = [];
  hosts = new OtherHosts(({ health, text }) => told.push(`${health}: ${text}`));
});
afterEach(() => hosts.close());

/** @param names of the others: `<hostname>.<what no other has>` */
function stats(names: readonly string[], state: HostsStats["state"] = "joined"): HostsStats {
  const others = names.map((name) => ({
    name,
    hostname: name.slice(0, name.lastIndexOf(".")),
    members: 4,
    namespaces: 1,
  }));
  const lag = { roundTripMs: 1, inboxLagMs: 0, inboxBytes: 0, backlogBytes: 0 };
  const counts = { ...lag, batches: 0, widened: 0, dropped: 0, missed: 0 };
  return { name: "web-1.aaaa", state, others, ...counts };
}

/**
 * Who is shown how, at a moment in seconds.
 * @param setBy how much the clock of the system has been set ahead
 */
const look = (given: HostsStats | undefined, at: number, setBy = 0) =>
  hosts
    .look(given, (at + setBy) * 1_000, at * 1_000)
    .map(({ name, presence, summary }) => `${name} ${presence}: ${summary}`);

function tell(name: string, state: "joined" | "ended" | "silent"): void {
  const message: AdapterDiagnostics["holdfast:adapter:host"] = { name, hostname: "", state };
  diagnostics.channel("holdfast:adapter:host").publish(message);
}

test("without a backplane there are none", () => {
  expect(look(undefined, 0)).toEqual([]);
});

test("those that are there at first are no news; one that comes and says goodbye is", () => {
  look(stats(["web-2.bbbb"]), 0);
  expect(look(stats(["web-2.bbbb", "web-3.cccc"]), 1)).toEqual([
    "web-2 there: 4 workers",
    "web-3 there: 4 workers",
  ]);
  tell("web-3.cccc", "ended");
  expect(look(stats(["web-2.bbbb"]), 2)).toContain("web-3 gone: has said goodbye");
  expect(told).toEqual(["good: Host web-3 has joined.", "good: Host web-3 has said goodbye."]);
  expect(look(stats(["web-2.bbbb"]), 70)).toEqual(["web-2 there: 4 workers"]);
});

test("one that is missing for a moment is no news; for longer, it has fallen silent, until it comes back", () => {
  look(stats(["web-2.bbbb"]), 0);
  look(stats([]), 1);
  expect(look(stats(["web-2.bbbb"]), 2)).toEqual(["web-2 there: 4 workers"]);
  expect(told).toEqual([]);
  tell("web-2.bbbb", "silent");
  look(stats([]), 3);
  expect(look(stats([]), 10)).toEqual(["web-2 silent: silent; had 4 workers"]);
  expect(told).toEqual([expect.stringMatching(/^bad: Host web-2 has fallen silent: /)]);
  expect(look(stats(["web-2.bbbb"]), 20)).toEqual(["web-2 there: 4 workers"]);
  expect(told[1]).toBe("good: Host web-2 has joined.");
});

test.each([3_600, -3_600])(
  "a clock that is set by %i s makes nobody silent, and keeps nobody from it",
  (setBy) => {
    look(stats(["web-2.bbbb"]), 0);
    look(stats([]), 1);
    expect(look(stats([]), 2, setBy)).toEqual(["web-2 there: 4 workers"]);
    expect(look(stats([]), 10, setBy)).toEqual(["web-2 silent: silent; had 4 workers"]);
  },
);

test("a new process on the same machine takes the place of one that has fallen silent", () => {
  look(stats(["web-2.bbbb"]), 0);
  look(stats([]), 1);
  look(stats([]), 10);
  expect(look(stats(["web-2.dddd"]), 20)).toEqual(["web-2 there: 4 workers"]);
});

test("while Redis is away nobody has gone: the others cannot be seen", () => {
  look(stats(["web-2.bbbb"]), 0);
  expect(look(stats([], "alone"), 1)).toEqual(["web-2 unseen: cannot be seen from here; had 4 workers"]);
  expect(look(stats([], "alone"), 900)).toHaveLength(1);
  // They join anew one after another.
  look(stats([]), 901);
  expect(look(stats(["web-2.bbbb"]), 902)).toEqual(["web-2 there: 4 workers"]);
  expect(told).toEqual([]);
});

test("hosts of the same name are told apart, and those that come and go do not fill the page", () => {
  expect(look(stats(["box.bbbb1", "box.cccc2", "web-1.dddd3"]), 0)).toEqual([
    "box bbbb there: 4 workers",
    "box cccc there: 4 workers",
    "web-1 dddd there: 4 workers",
  ]);
  for (let i = 0; i < 100; i++) {
    look(stats([`pod-${i}.x`]), i);
    tell(`pod-${i}.x`, "ended");
  }
  expect(look(stats([]), 100).length).toBeLessThanOrEqual(9);
});
