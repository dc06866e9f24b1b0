/**
 * The wire between a test or a bench and the processes it runs: length-prefixed `v8.serialize` over loopback TCP.
 * It stays apart from the cluster's own links: a test can still talk to a worker whose IPC is what is tested, and
 * steering a bench costs every contestant the same.
 * Runs in: tests, benches, and the processes that they start.
 */
import type { Socket } from "node:net";
import { deserialize, serialize } from "node:v8";

/** What a process says first, when it is ready to be called. */
export interface Hello {
  readonly type: "hello";
  readonly role: "primary" | "worker";
  /** `cluster.worker.id` or its like, 1…; 0 for a primary. */
  readonly workerId: number;
  readonly pid: number;
  /** Where it listens; 0 if it does not. */
  readonly port: number;
}

/** Asks for a command by its name. */
export interface Call {
  readonly type: "call";
  readonly id: number;
  readonly command: string;
  readonly args: unknown[];
}

export interface Answer {
  readonly type: "answer";
  readonly id: number;
  readonly value?: unknown;
  readonly error?: unknown;
}

/** Something that needs no answer; goes both ways. */
export interface Notice {
  readonly type: "notice";
  readonly name: string;
  readonly value: unknown;
}

export type ControlMessage = Hello | Call | Answer | Notice;

const PREFIX_BYTES = 4;

export class ControlChannel {
  readonly #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);

  constructor(socket: Socket, onMessage: (message: ControlMessage) => void) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => {
      this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
      while (this.#pending.length >= PREFIX_BYTES) {
        const end = PREFIX_BYTES + this.#pending.readUInt32LE(0);
        if (this.#pending.length < end) return;
        const message = deserialize(this.#pending.subarray(PREFIX_BYTES, end)) as ControlMessage;
        this.#pending = this.#pending.subarray(end);
        onMessage(message);
      }
    });
    // A process that is killed resets its connection: its "close" event is what the other side acts on.
    socket.on("error", () => {});
  }

  send(message: ControlMessage): void {
    const body = serialize(message);
    const frame = Buffer.allocUnsafe(PREFIX_BYTES + body.length);
    frame.writeUInt32LE(body.length, 0);
    body.copy(frame, PREFIX_BYTES);
    this.#socket.write(frame);
  }
}

/** An error as it travels: `v8.serialize` keeps only name, message and stack of an Error. */
export function packError(error: unknown): unknown {
  if (!(error instanceof Error)) return { name: "Error", message: `thrown: ${String(error)}`, fields: {} };
  const fields = Object.fromEntries(Object.entries(error).filter(([, value]) => canTravel(value)));
  return { name: error.name, message: error.message, stack: error.stack, fields };
}

function canTravel(value: unknown): boolean {
  try {
    serialize(value);
    return true;
  } catch {
    return false;
  }
}

export function unpackError(packed: unknown): Error {
  const { name, message, stack, fields } = packed as {
    name: string;
    message: string;
    stack: string;
    fields: object;
  };
  return Object.assign(new Error(message), fields, { name, stack });
}
