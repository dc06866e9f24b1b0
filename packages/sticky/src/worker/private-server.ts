/**
 * A worker's private socket, on which other workers relay requests of its sessions.
 * Owns: an HTTP server on a Unix socket in the cluster's directory (mode 0700). Runs in: workers.
 */
import { createServer, type IncomingMessage, maxHeaderSize } from "node:http";
import type { Server as NetServer, Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import createDebug from "debug";
import { decodeTarget, type Origin } from "../wire/private-address.js";
import { KeepAlive } from "./keep-alive.js";

const debug = createDebug("holdfast:sticky:forwarder");

/** How long the answers that are in progress when it closes may take. */
const CLOSE_MS = 5_000;

/** The private socket of a worker. On Windows a named pipe, which has no directory and no mode. */
export function privatePath(directory: string, workerId: number): string {
  return process.platform === "win32"
    ? `\\\\.\\pipe\\${directory.replace(/[\\/:]/g, "-")}-${workerId}`
    : join(directory, String(workerId));
}

/**
 * Listens for requests that other workers relay and gives them to the server of that name as its own.
 * @returns the function that closes it, when the answers in progress are finished
 */
export function openPrivateServer(
  path: string,
  secret: string,
  serverOf: (name: string) => NetServer | undefined,
  onForwarded: () => void,
): () => Promise<void> {
  const admit = (request: IncomingMessage): NetServer | undefined => {
    const decoded = decodeTarget(secret, request.url ?? "");
    const server = decoded && serverOf(decoded.origin.name);
    if (!decoded || !server) return undefined;
    onForwarded();
    request.url = decoded.target;
    present(request.socket, decoded.origin);
    return server;
  };
  const listener = createServer({
    // The head was within the limits of the server that the client talks to.
    maxHeaderSize: 2 * maxHeaderSize + 4_096,
    requireHostHeader: false,
    keepAliveTimeout: 0,
    headersTimeout: 0,
    requestTimeout: 0,
  });
  listener.maxHeadersCount = 0;
  listener.on("request", (request, response) => {
    const server = admit(request);
    if (server) server.emit("request", request, response);
    else request.socket.destroy();
  });
  listener.on("checkContinue", (request, response) => void listener.emit("request", request, response));
  listener.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const server = admit(request);
    if (server) server.emit("upgrade", request, socket, head);
    else socket.destroy();
  });
  listener.on("error", (error) => debug("the private socket failed: %s", error.message));
  const sockets = new Set<Socket>();
  listener.on("connection", (socket) => {
    // Sessions keep the process, not the connections over which other workers reach them.
    socket.unref();
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const keepAlive = new KeepAlive(listener);
  // Exclusive: node:cluster would otherwise open it in the primary.
  listener.listen({ path, exclusive: true }).unref();
  return async () => {
    const timer = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, CLOSE_MS).unref();
    keepAlive.end();
    await new Promise((resolve) => void listener.close(resolve));
    clearTimeout(timer);
  };
}

/** Makes the private connection look like the client's, for the request that is on it now. */
function present(socket: Socket, { address, port, encrypted }: Origin): void {
  const value = (of: unknown) => ({ configurable: true, value: of });
  Object.defineProperties(socket, {
    remoteAddress: value(address || undefined),
    remotePort: value(port || undefined),
    remoteFamily: value(address.includes(":") ? "IPv6" : "IPv4"),
    encrypted: value(encrypted || undefined),
  });
}
