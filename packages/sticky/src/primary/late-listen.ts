/**
 * The `listen()` of a router's server when workers were there first and listen themselves: they leave their places to the
 * router, so it waits until they have.
 * Owns: the server's `listen()` until then. Runs in: primary.
 */
import type { Server as NetServer } from "node:net";
import { runApplication } from "../faults.js";
import { allWorkers } from "./all-workers.js";

/** How long the workers may take. Those that are not set up keep their places. */
const LEAVE_MS = 2_000;

/**
 * @param areReady whether that many workers have left their places
 * @param onChanged calls back whenever that may have changed; returns the function that ends it
 * @returns the function that gives the server its own `listen()` back
 */
export function listenAfterWorkers(
  server: NetServer,
  areReady: (workerIds: readonly number[]) => boolean,
  onChanged: (listener: () => void) => () => void,
): () => void {
  const listening = server.listening ? [] : workersThatListen();
  if (listening.length === 0) return () => {};
  let putOff: readonly unknown[] | undefined;
  const own = server.listen;
  const release = () => {
    clearTimeout(deadline);
    stop();
    if (server.listen === listen) Reflect.deleteProperty(server, "listen");
  };
  const finish = () => {
    release();
    const args = putOff;
    if (!args) return;
    try {
      own.apply(server, args as Parameters<typeof own>);
    } catch (error) {
      // Arguments that are wrong: the call has returned long ago.
      runApplication(() => server.emit("error", error));
    }
  };
  const check = () => {
    if (areReady(listening)) finish();
  };
  const listen = (...args: unknown[]): NetServer => {
    putOff = args;
    return server;
  };
  const deadline = setTimeout(finish, LEAVE_MS);
  const stop = onChanged(check);
  Object.defineProperty(server, "listen", { configurable: true, writable: true, value: listen });
  return release;
}

/** Field: `worker.state`, which node:cluster keeps. */
function workersThatListen(): number[] {
  const workers: { id: number; state?: string }[] = allWorkers();
  return workers.flatMap(({ id, state }) => (state === "listening" ? [id] : []));
}
