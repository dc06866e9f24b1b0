/** Which connections are about to bring a poll. */
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
  expect(pollers.awaited()).toEqual(new Set());
  const answer = request("a", one);
  expect(pollers.awaited()).toEqual(new Set());
  answer();
  expect(pollers.awaited()).toEqual(new Set([one, other]));
  request("a", other)();
  vi.advanceTimersByTime(5_000);
  expect(pollers.awaited()).toEqual(new Set([one, other]));
  vi.advanceTimersByTime(1);
  expect(pollers.awaited()).toEqual(new Set());
});

test("one that has carried another client's request since is that one's", () => {
  const [one, other] = [connect(), connect()];
  request("a", one)();
  request("a", other)();
  const answer = request("b", other);
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
