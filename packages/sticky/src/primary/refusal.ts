/**
 * The router's own answers, for connections that no worker gets.
 * Owns: a refused connection until it is closed. Runs in: primary.
 */
import { STATUS_CODES } from "node:http";
import { adoptHandle, type Handle } from "../handle/node-internals.js";

/** Status codes that the router answers with. */
export type RefusalStatus = 400 | 408 | 431 | 503;

/**
 * How long a refused client may take to read the answer. Closing at once, with bytes of the client unread,
 * would reset the connection and could destroy the answer on its way.
 */
const LINGER_MS = 1_000;

/** Answers with `status` and closes. */
export function refuse(handle: Handle, status: RefusalStatus, retryAfterSeconds?: number): void {
  const socket = adoptHandle(handle);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.on("error", () => socket.destroy());
  socket.on("close", () => clearTimeout(timer));
  // Once the answer is out and the client has ended its side, the socket closes itself.
  socket.resume();
  socket.end(answer(status, retryAfterSeconds));
}

function answer(status: RefusalStatus, retryAfterSeconds: number | undefined): string {
  const retry = retryAfterSeconds === undefined ? "" : `Retry-After: ${retryAfterSeconds}\r\n`;
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${retry}Connection: close\r\nContent-Length: 0\r\n\r\n`;
}
