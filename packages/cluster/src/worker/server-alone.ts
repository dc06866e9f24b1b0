/** A server of a process that is no worker. Owns: nothing. Runs in: a single process. */
import type { Server as HttpServer } from "node:http";
import { Server as NetServer } from "node:net";
import type { SocketIoServer } from "@holdfast/sticky";
import { Deadline } from "../deadline.js";
import { HoldfastError } from "../errors.js";
import type { MemberServer } from "./member.js";

/** Those that have not finished. */
const joined = new WeakSet<object>();

/** @throws {HoldfastError} `HOLDFAST_ERR_NOT_ATTACHED`, `HOLDFAST_ERR_ALREADY_SET_UP`, as in a worker */
export function serverAlone(io: SocketIoServer, onStop: () => unknown): MemberServer {
  const { httpServer }: { readonly httpServer?: unknown } = Object(io);
  if (!(httpServer instanceof NetServer)) {
    throw new HoldfastError(
      "HOLDFAST_ERR_NOT_ATTACHED",
      "joinCluster() was called with a Socket.IO server that is not attached to an HTTP server yet: " +
        "call new Server(httpServer) or io.attach(httpServer) first.",
    );
  }
  if (joined.has(io)) {
    throw new HoldfastError(
      "HOLDFAST_ERR_ALREADY_SET_UP",
      "joinCluster() was called before for this Socket.IO server. Call it once, and keep what it returned.",
    );
  }
  joined.add(io);
  return { drain: (timeoutMs) => close(io, httpServer, timeoutMs), onStop };
}

/** Settles when the HTTP server is closed, for which older versions of Socket.IO wait only to call back. */
async function close(io: SocketIoServer, httpServer: NetServer, timeoutMs: number): Promise<void> {
  const time = new Deadline();
  time.bringForward(timeoutMs);
  // Servers for HTTP/2 lack this: their connections are left to the end of the process.
  void time.passed.then(() => (httpServer as Partial<HttpServer>).closeAllConnections?.());
  try {
    await new Promise<void>((resolve, reject) => {
      io.close(() => resolve()).catch(reject);
    });
  } finally {
    joined.delete(io);
    time.cancel();
  }
}
