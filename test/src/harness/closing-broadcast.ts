/** Packets whose last one closes the connection that they are for. Runs in: tests. */
import { expect } from "vitest";
import type { TestClient } from "./clients.js";
import type { RemoteWorker } from "./cluster.js";

/** `sender` emits two packets to a client of `receiver`, and what closes it, in one batch: the client gets both. */
export async function expectTakenAlong(
  sender: RemoteWorker,
  receiver: RemoteWorker,
  client: TestClient,
): Promise<void> {
  await receiver.run((ctx, id) => {
    ctx.io.once("close it", () => ctx.io.sockets.sockets.get(id)?.conn.close(true));
  }, client.id);
  const gone = client.next("disconnect");
  await sender.run((ctx, id) => {
    ctx.io.to(id).emit("n", 1);
    ctx.io.to(id).emit("n", 2);
    ctx.io.serverSideEmit("close it");
  }, client.id);
  await gone;
  expect(client.received("n")).toEqual([[1], [2]]);
}
