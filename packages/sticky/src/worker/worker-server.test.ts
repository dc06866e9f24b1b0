import { once } from "node:events";
import { Agent, createServer, get, type IncomingMessage } from "node:http";
import { type AddressInfo, Socket } from "node:net";
import { expect, test } from "vitest";
import { WorkerServer } from "../../dist/worker/worker-server.js";

test("a worker that has left keeps no connection alive again when its moves are stopped", async () => {
  const server = createServer((_request, response) => void response.end());
  const routed = new WorkerServer(server, undefined);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true });
  const ask = async () => {
    const [answer] = (await once(get({ port, host: "127.0.0.1", agent }), "response")) as [IncomingMessage];
    await once(answer.resume(), "end");
    return answer.headers.connection;
  };
  routed.endKeepAlive(() => {});
  expect(await ask()).toBe("close");
  routed.resumeKeepAlive();
  expect(await ask()).toBe("keep-alive");
  routed.endKeepAlive(() => {});
  routed.leave(1_000);
  routed.resumeKeepAlive();
  expect(await ask()).toBe("close");
  agent.destroy();
  server.close();
  await routed.closed;
});

test("what listeners throw that were there before hides no connection, nor the server's end", async () => {
  const fail = (event: string) => () => {
    throw new Error(event);
  };
  const server = createServer().prependListener("connection", fail("connection")).on("close", fail("close"));
  const routed = new WorkerServer(server, undefined);
  const told: string[] = [];
  routed.on("accepted", () => told.push("accepted")).on("ended", () => told.push("ended"));
  const socket = new Socket();
  expect(() => server.emit("connection", socket)).toThrow("connection");
  socket.on("close", () => told.push("closed"));
  socket.destroy();
  await once(socket, "close");
  expect(told).toEqual(["accepted", "ended", "closed"]);
  expect(() => server.emit("close")).toThrow("close");
  await routed.closed;
});
