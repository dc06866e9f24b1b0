import { once } from "node:events";
import { Agent, createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
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
