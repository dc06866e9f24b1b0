/**
 * The wire between the bench and the processes it runs: length-prefixed `v8.serialize` over loopback TCP.
 * It stays apart from the cluster's own links, so that steering a run costs every contestant the same.
 * Runs in: all processes of a bench.
 */
import type { Socket } from "node:net";
import { deserialize, serialize } from "node:v8";

/** What a process says when it is ready to be called. */
export interface Hello {
  readonly type: "hello";
  /** Names the cluster or load generator that the process belongs to. */
  readonly group: string;
  readonly role: "primary" | "worker" | "load";
  /** 0 for a primary, 1… for workers and load generators. */
  readonly index: number;
  readonly pid: number;
}

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
  readonly error?: string;
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
    // A process that ends resets its connection: its "close" event is what the other side acts on.
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
