/** Which connections are about to bring a request. */
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Pollers } from "../../dist/worker/pollers.js";

let pollers: Pollers;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["hrtime"] });
  pollers = new Pollers();
});
afterEach(() => vi.useRealTimers());

const connect = () => new EventEmitter() as Socket;

/** Returns the function that answers it. */
function request(sessionId: string, socket: Socket, method = "GET", httpVersionMajor = 1): () => void {
  const response = new EventEmitter() as ServerResponse;
  pollers.onRequest(sessionId, { method, socket, httpVersionMajor } as IncomingMessage, response);
  return () => void response.emit("close");
}

test("those of a client between two polls are, until it takes too long", () => {
  const [one, other] = [connect(), connect()];
  request("a", other, "POST")();
  vi.advanceTimersByTime(1_001);
  const answer = request("a", one);
  vi.advanceTimersByTime(20_000);
  expect(pollers.awaited()).toEqual(new Set());
  answer();
  expect(pollers.awaited()).toEqual(new Set([one, other]));
  request("a", other)();
  vi.advanceTimersByTime(5_000);
  expect(pollers.awaited()).toEqual(new Set([one, other]));
  vi.advanceTimersByTime(1);
  expect(pollers.awaited()).toEqual(new Set());
});

test("those over which a client has just sent something are, while it polls", () => {
  const [polling, sending] = [connect(), connect()];
  request("a", polling);
  vi.advanceTimersByTime(20_000);
  request("a", sending, "POST")();
  vi.advanceTimersByTime(1_000);
  expect(pollers.awaited()).toEqual(new Set([sending]));
  vi.advanceTimersByTime(1);
  expect(pollers.awaited()).toEqual(new Set());
});

test("one that has carried another client's request since is that one's", () => {
  const [one, other] = [connect(), connect()];
  request("a", one)();
  request("a", other)();
  const answer = request("b", other);
  vi.advanceTimersByTime(1_001);
  expect(pollers.awaited()).toEqual(new Set([one]));
  answer();
  expect(pollers.awaited()).toEqual(new Set([one, other]));
});

test("nothing is kept of connections that are closed, nor of HTTP/2", () => {
  const [one, multiplexed] = [connect(), connect()];
  const answer = request("a", one);
  one.emit("close");
  answer();
  request("b", multiplexed, "GET", 2)();
  expect(pollers.awaited()).toEqual(new Set());
  expect(multiplexed.listenerCount("close")).toBe(0);
  for (let i = 0; i < 20; i++) request(`c${i}`, one)();
  expect(one.listenerCount("close")).toBe(1);
});
