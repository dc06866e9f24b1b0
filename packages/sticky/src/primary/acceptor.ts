/**
 * Takes the connections of a server of the primary.
 * Owns: what it took from the server, until `close()`. Runs in: primary.
 */
import type { Server as NetServer, Socket } from "node:net";
import {
  detachHandle,
  type Handle,
  httpConnectionListeners,
  interceptAccept,
} from "../handle/node-internals.js";

/** Where a server's connections go: the handle, and what was already read of it. */
export type OnHandle = (handle: Handle, buffered: Buffer | undefined) => void;

/**
 * Gives every new connection of `server` to `onHandle`, whether it listens already or only later.
 * An `http.Server`'s own parser does not see them; listeners of the user do, if there are any.
 * @returns the function that undoes it
 */
export function takeConnections(server: NetServer, onHandle: OnHandle): () => void {
  const onConnection = (socket: Socket) => {
    // The listeners of the user come first, wherever they are in the list. Nothing is read before that.
    process.nextTick(() => {
      const detached = detachHandle(socket);
      if (detached) onHandle(detached.handle, detached.buffered);
    });
  };
  const parserListeners = httpConnectionListeners(server);
  for (const listener of parserListeners) server.off("connection", listener);
  // Before those that may throw: Node.js calls none after them.
  server.prependListener("connection", onConnection);

  // Without listeners of the user, nobody needs a net.Socket.
  const nobodyLooks = () => server.listenerCount("connection") === 1;
  let release: (() => void) | undefined;
  const intercept = () => {
    release = interceptAccept(server, (handle) => onHandle(handle, undefined), nobodyLooks);
  };
  if (server.listening) intercept();
  server.prependListener("listening", intercept);

  return () => {
    release?.();
    server.off("listening", intercept);
    server.off("connection", onConnection);
    for (const listener of parserListeners) server.prependListener("connection", listener);
  };
}
