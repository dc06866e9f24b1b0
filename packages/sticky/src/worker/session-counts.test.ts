/** Sessions are counted, whatever the application's listeners throw. */
import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { SessionCounts } from "../../dist/worker/session-counts.js";

test("what listeners throw that were there before goes past no count", () => {
  const engine = new EventEmitter();
  const fail = (event: string) => () => {
    throw new Error(event);
  };
  engine.on("connection", fail("connection")).on("connection_error", fail("connection_error"));
  const counts = new SessionCounts(() => {});
  counts.watch(engine as never);
  const session = Object.assign(new EventEmitter(), { transport: { name: "polling" } });
  session.on("upgrade", fail("upgrade")).on("close", fail("close"));
  expect(() => engine.emit("connection", session)).toThrow("connection");
  expect(counts.stats()).toMatchObject({ opened: 1, open: { polling: 1 } });
  session.transport.name = "websocket";
  expect(() => session.emit("upgrade")).toThrow("upgrade");
  expect(counts.stats()).toMatchObject({ upgraded: 1, open: { polling: 0, websocket: 1 } });
  expect(() => session.emit("close", "transport close")).toThrow("close");
  expect(counts.stats()).toMatchObject({ open: { websocket: 0 }, ended: { "transport close": 1 } });
  expect(() => engine.emit("connection_error", { code: 0 })).toThrow("connection_error");
  expect(counts.stats().refused["unknown transport"]).toBe(1);
});
