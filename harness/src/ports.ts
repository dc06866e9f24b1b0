/** Ports for programs that must be told one. Runs in: tests and benches. */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { within } from "./within.js";

const TRY_MS = 20;

/** Ports below are other programs'. */
const FIRST_PORT = 10_000;
/** From here on the system gives ports to whoever asks for any, if it does not say from where on. */
const FIRST_GIVEN = 32_768;

/**
 * A port of the loopback interface that was free a moment ago, and that the system gives to nobody who asks for any. Where
 * a program can be given 0, give it that.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, firstGivenPort());
    const server = createServer().listen(port, "127.0.0.1");
    try {
      await once(server, "listening");
    } catch {
      continue;
    }
    server.close();
    await once(server, "close");
    return port;
  }
}

function firstGivenPort(): number {
  try {
    const first = Number.parseInt(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8"), 10);
    return first > FIRST_PORT ? first : FIRST_GIVEN;
  } catch {
    return FIRST_GIVEN;
  }
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
