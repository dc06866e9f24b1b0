/**
 * The wire between a test and the processes it runs: length-prefixed `v8.serialize` over loopback TCP.
 * It stays apart from the cluster's own IPC, so a test can still talk to a worker whose IPC is what is tested.
 * Runs in: tests and fixture processes.
 */
import type { Socket } from "node:net";
import { deserialize, serialize } from "node:v8";

/** What a fixture process says first. */
export interface Hello {
  readonly type: "hello";
  readonly role: "primary" | "worker";
  readonly pid: number;
  /** `cluster.worker.id`; 0 for the primary. */
  readonly workerId: number;
}

/** Runs `source`, the text of a function, in the fixture process. */
export interface Call {
  readonly type: "call";
  readonly id: number;
  readonly source: string;
  readonly args: unknown[];
}

export interface Answer {
  readonly type: "answer";
  readonly id: number;
  readonly value?: unknown;
  readonly error?: unknown;
}

/** A named event that fixture code sends with `ctx.emit()`. */
export interface Notice {
  readonly type: "notice";
  readonly name: string;
  readonly value: unknown;
}

export type ControlMessage = Hello | Call | Answer | Notice;

export class ControlChannel {
  readonly #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);

  constructor(socket: Socket, onMessage: (message: ControlMessage) => void) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => {
      this.#pending = Buffer.concat([this.#pending, chunk]);
      while (this.#pending.length >= 4) {
        const end = 4 + this.#pending.readUInt32LE(0);
        if (this.#pending.length < end) return;
        const message = deserialize(this.#pending.subarray(4, end)) as ControlMessage;
        this.#pending = this.#pending.subarray(end);
        onMessage(message);
      }
    });
    // A killed process resets its connection: its "close" event is what the test waits for.
    socket.on("error", () => {});
  }

  send(message: ControlMessage): void {
    const body = serialize(message);
    const head = Buffer.allocUnsafe(4);
    head.writeUInt32LE(body.length, 0);
    this.#socket.write(head);
    this.#socket.write(body);
  }
}

/** An error as it travels: `v8.serialize` keeps only name, message and stack of an Error. */
export function packError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
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
