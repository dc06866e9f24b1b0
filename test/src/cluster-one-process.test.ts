/** `joinCluster()` in a process that is no worker. */
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { joinCluster } from "@holdfast/cluster";
import { httpRequest } from "@holdfast/harness";
import { Server } from "socket.io";
import { expect, test } from "vitest";

test("leave() finishes the requests in progress, then calls onStop", async () => {
  const httpServer = createServer();
  const steps: string[] = [];
  const member = joinCluster(new Server(httpServer), { onStop: () => void steps.push("onStop") });
  let left: Promise<unknown> | undefined;
  httpServer.once("close", () => steps.push("closed"));
  httpServer.once("request", async (_, response: ServerResponse) => {
    left = member.leave().then(() => steps.push("left"));
    while (httpServer.listening) await nextTurn();
    // What does not wait for the answer comes now.
    await nextTurn();
    response.end("answered");
  });
  await once(httpServer.listen(0, "127.0.0.1"), "listening");
  const { port } = httpServer.address() as AddressInfo;
  expect((await httpRequest(`http://127.0.0.1:${port}/`)).text).toBe("answered");
  await left;
  expect(steps).toEqual(["closed", "onStop", "left"]);
});

test("leave() ends a server that has joined since the last one", async () => {
  const stops: number[] = [];
  for (const number of [1, 2]) {
    const httpServer = createServer();
    const member = joinCluster(new Server(httpServer), { onStop: () => void stops.push(number) });
    await once(httpServer.listen(0, "127.0.0.1"), "listening");
    await member.leave();
    expect(httpServer.listening).toBe(false);
  }
  expect(stops).toEqual([1, 2]);
});
