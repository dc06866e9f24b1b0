/** Events of our handles, where each listener is called by itself. */
import type { EventEmitter } from "node:events";
import { describe, expect, test } from "vitest";

interface Faults {
  readonly ApplicationEvents: new () => EventEmitter;
}

describe.each(["adapter", "cluster", "sticky"])("%s", async (name) => {
  const { ApplicationEvents } = (await import(`../../packages/${name}/dist/faults.js`)) as Faults;

  test("once is once, all are called in their order, and emit() says whether there are any", () => {
    const events = new ApplicationEvents();
    const calls: string[] = [];
    events.on("a", (value) => calls.push(`on ${value}`)).once("a", (value) => calls.push(`once ${value}`));
    expect([events.emit("a", 1), events.emit("a", 2), events.emit("b")]).toEqual([true, true, false]);
    expect(calls).toEqual(["on 1", "once 1", "on 2"]);
    expect(() => events.emit("error", new Error("nobody listens"))).toThrow("nobody listens");
  });
});
