/** `joinCluster()` in a process that is no worker. */
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { redisStreams } from "@holdfast/adapter/redis-streams";
import { joinCluster } from "@holdfast/cluster";
import { httpRequest, runProgram } from "@holdfast/harness";
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

test("after leave(), nothing of it keeps the process", async () => {
  const program = fileURLToPath(new URL("../dist/fixtures/leaves-alone.js", import.meta.url));
  expect(await runProgram(process.execPath, [program])).toMatchObject({
    code: 0,
    stdout: "left\n",
    stderr: "",
  });
});

test("leave() cuts off what does not end in time", async () => {
  const httpServer = createServer((_, response) => void response.write("and so on"));
  const io = new Server(httpServer);
  const stopped = new Promise<void>((resolve) => {
    const member = joinCluster(io, { onStop: resolve });
    httpServer.once("request", () => void member.leave());
  });
  await once(httpServer.listen(0, "127.0.0.1"), "listening");
  const { port } = httpServer.address() as AddressInfo;
  const answer = fetch(`http://127.0.0.1:${port}/`).then((response) => response.text());
  await expect(answer).rejects.toThrow();
  await stopped;
});

test("leave() from a listener of the application waits for the same end", async () => {
  const httpServer = createServer();
  const io = new Server(httpServer);
  const steps: string[] = [];
  const member = joinCluster(io, { onStop: () => void steps.push("onStop") });
  const inner = new Promise<void>((resolve) => {
    io.close = async (onClosed?: () => void) => {
      void member.leave().then(() => resolve(void steps.push("left")));
      await nextTurn();
      onClosed?.();
    };
  });
  await member.leave();
  await inner;
  expect(steps).toEqual(["onStop", "left"]);
});

test("what is wrong is told as in a worker", () => {
  const io = new Server(createServer());
  joinCluster(io);
  const codeOf = (wrong: () => unknown) => {
    try {
      wrong();
      return "none";
    } catch (error) {
      return (error as { code?: string }).code;
    }
  };
  expect(codeOf(() => joinCluster(io))).toBe("HOLDFAST_ERR_ALREADY_SET_UP");
  expect(codeOf(() => joinCluster(new Server()))).toBe("HOLDFAST_ERR_NOT_ATTACHED");
  const another = new Server(createServer());
  for (const [adapter, code] of [
    [{ nonsense: 1 }, "HOLDFAST_ERR_INVALID_OPTION"],
    [{ hub: 5 }, "HOLDFAST_ERR_INVALID_OPTION"],
    [{ hub: { path: "x".repeat(200) } }, "HOLDFAST_ERR_HUB_PATH"],
  ] as [object, string][]) {
    expect(codeOf(() => joinCluster(another, { adapter }))).toBe(code);
  }
});

test("a thread of a process without a cluster may call joinCluster()", async () => {
  const thread = new Worker(new URL("../dist/fixtures/failing-joins.js", import.meta.url));
  // Without a code, nothing was thrown.
  expect(await once(thread, "message")).toEqual([undefined]);
});

test("the hub that the adapter's options name is left alone", () => {
  for (const app of ["one", "other"]) {
    const backplane = redisStreams({ url: "redis://127.0.0.1:1", app });
    expect(() => joinCluster(new Server(createServer()), { adapter: { backplane } })).not.toThrow();
  }
});
