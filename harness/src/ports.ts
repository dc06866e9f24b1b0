/** Ports for programs that must be told one. Runs in: tests and benches. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { within } from "./within.js";

const TRY_MS = 20;

/** A port of the loopback interface that was free a moment ago. Where a program can be given 0, give it that. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Waits until a program of others takes connections, for which there is no event. */
export async function untilListening(port: number): Promise<void> {
  const waiting = new AbortController();
  const tries = async () => {
    while (!waiting.signal.aborted && !(await takesConnections(port))) await sleep(TRY_MS);
  };
  try {
    await within(tries(), `listener on port ${port}`);
  } finally {
    waiting.abort();
  }
}

async function takesConnections(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
