/**
 * A link over the cluster's IPC channel, for workers without the pipe.
 * Owns: nothing but the count of bytes on their way; its owner listens to the channel.
 * Runs in: primary and workers.
 */
import { type IpcEnd, type IpcFrames, MESSAGE_KEY } from "../wire/handshake.js";
import type { Link, LinkEvents } from "./contract.js";

/** `process.send` or `worker.send`: calls back when the message has been written or failed. */
export type SendMessage = (message: IpcFrames | IpcEnd, callback: (error: Error | null) => void) => boolean;

export class IpcLink implements Link {
  readonly kind = "ipc";
  readonly #send: SendMessage;
  /** Whether the channel carries typed arrays. */
  readonly binary: boolean;
  readonly #events: LinkEvents;
  #pendingBytes = 0;
  #state: "open" | "closed" = "open";

  /** @param binary whether the channel carries typed arrays (`serialization: "advanced"`) */
  constructor(send: SendMessage, binary: boolean, events: LinkEvents) {
    this.#send = send;
    this.binary = binary;
    this.#events = events;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  write(chunks: readonly Buffer[]): void {
    if (this.#state === "closed") return;
    const bytes = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
    const { length } = bytes;
    this.#pendingBytes += length;
    const data = this.binary ? bytes : bytes.toString("base64");
    this.#send({ [MESSAGE_KEY]: "frames", data }, () => {
      // An error means that the channel is gone, which its owner learns from "disconnect".
      this.#pendingBytes -= length;
      if (this.#state === "open") this.#events.onTaken();
    });
  }

  /** Called by the owner for each message of frames that the other end sent. */
  receive({ data }: IpcFrames): void {
    if (this.#state === "closed") return;
    this.#events.onChunk(typeof data === "string" ? Buffer.from(data, "base64") : toBuffer(data));
  }

  /** Called by the owner when the other end has closed the link, or the channel is gone. */
  lost(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#events.onEnd();
  }

  /** The channel sends what was written; it is not ours to close. */
  end(): void {
    this.close();
  }

  /** The other end cannot see that this one is closed, as it sees the end of a pipe. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#send({ [MESSAGE_KEY]: "end" }, () => {});
  }
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
