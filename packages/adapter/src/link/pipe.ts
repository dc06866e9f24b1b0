/**
 * A link over two stdio pipes that the worker inherited.
 * Owns: nothing; the sockets are the link's. Runs in: primary and workers.
 */
import { fstatSync } from "node:fs";
import { Socket, type SocketConstructorOpts } from "node:net";
import type { PipeFds } from "../wire/handshake.js";
import type { Link, LinkEvents } from "./contract.js";
import { readInto } from "./node-internals.js";
import { readingInto, TwoSocketLink } from "./two-sockets.js";

/** The primary's end, of pipes that `child_process` has made. */
export function pipeToWorker(incoming: Socket, outgoing: Socket, events: LinkEvents): Link {
  const { buffer, callback } = readingInto(events);
  if (!readInto(incoming, buffer, callback)) incoming.on("data", (chunk) => events.onChunk(chunk));
  return new TwoSocketLink("pipe", incoming, outgoing, events);
}

/**
 * A worker's end, of pipes that it has inherited. They do not keep the process alive: a worker whose
 * servers are closed may end.
 */
export function pipeToHub(fds: PipeFds, events: LinkEvents): Link {
  // `new net.Socket()` has this option too, but the types have it for `connect()` only.
  const options = { fd: fds.fromHub, readable: true, writable: false, onread: readingInto(events) };
  const incoming = new Socket(options as SocketConstructorOpts).unref();
  const outgoing = new Socket({ fd: fds.toHub, readable: false, writable: true }).unref();
  return new TwoSocketLink("pipe", incoming, outgoing, events);
}

/** Whether the descriptors are the pipes that the hub promised. */
export function arePipes({ toHub, fromHub }: PipeFds): boolean {
  return isSocket(toHub) && isSocket(fromHub);
}

function isSocket(fd: number): boolean {
  try {
    // With plain numbers, Node.js 20 leaves the result where its ESM loader then reads the type of the next
    // file from: an import() through a symbolic link, as pnpm lays them, would fail.
    return fstatSync(fd, { bigint: true }).isSocket();
  } catch {
    return false;
  }
}
