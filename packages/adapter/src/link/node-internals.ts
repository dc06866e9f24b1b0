/**
 * The undocumented parts of Node.js that this package uses. `node-internals.test.ts` fails when one moves.
 * Links work without it, but cost more. Tried with Node.js 20.
 * Owns: nothing. Runs in: primary and workers.
 */
import type { Socket } from "node:net";

/**
 * Does for an existing socket what the option `onread` does for a new one: what is read goes into `buffer`
 * and to `callback`, nothing is allocated and nothing pushed through a stream. `child_process` makes the
 * sockets of a child's stdio by itself and has no such option. Nothing may have been read of the socket yet.
 * @returns false where Node.js has changed: the socket is as it was
 */
export function readInto(socket: Socket, buffer: Buffer, callback: (bytes: number) => boolean): boolean {
  const handle = (socket as unknown as { _handle?: { useUserBuffer?(buffer: Buffer): void } | null })._handle;
  const fields = new Map(Object.getOwnPropertySymbols(socket).map((symbol) => [symbol.description, symbol]));
  const [kBuffer, kBufferCb] = [fields.get("kBuffer"), fields.get("kBufferCb")];
  if (!handle?.useUserBuffer || !kBuffer || !kBufferCb) return false;
  Object.assign(socket, { [kBuffer]: buffer, [kBufferCb]: callback });
  handle.useUserBuffer(buffer);
  return true;
}

interface TimerFields {
  readonly _idleStart: number;
  readonly _idleTimeout: number;
  readonly _destroyed: boolean;
}

/**
 * How long a timer has still to run; undefined for one that does not run.
 * Fields: `timer._idleStart` and `timer._idleTimeout`, on the clock of the event loop, and `timer._destroyed`.
 */
export function remainingMs(timer: NodeJS.Timeout | null): number | undefined {
  if (!timer) return undefined;
  const { _idleStart: start, _idleTimeout: ms, _destroyed: isOver } = timer as unknown as TimerFields;
  if (isOver || ms < 0) return undefined;
  const probe = setTimeout(() => {}, 1);
  const { _idleStart: now } = probe as unknown as { _idleStart: number };
  clearTimeout(probe);
  return Math.max(0, start + ms - now);
}
