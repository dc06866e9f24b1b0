/**
 * A Socket.IO client that sends whatever bytes a test likes: parts of frames, fragments, half a binary event. It answers
 * pings, and keeps the messages that it gets.
 * Owns: its connection. Runs in: tests.
 */
import { connect, type Socket } from "node:net";
import { Changes } from "@holdfast/harness";

const MASK = Buffer.from([1, 2, 3, 4]);

/** A frame as clients send it, masked (RFC 6455 §5.2). */
export function clientFrame(message: string | Buffer, { fin = true, opcode = 0 } = {}): Buffer {
  const payload = Buffer.from(message);
  const kind = opcode || (typeof message === "string" ? 1 : 2);
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : 4);
  head[0] = (fin ? 0x80 : 0) | (opcode === CONTINUATION ? 0 : kind);
  head[1] = 0x80 | Math.min(length, 126);
  if (length >= 126) head.writeUInt16BE(length, 2);
  return Buffer.concat([head, MASK, payload.map((byte, i) => byte ^ (MASK[i % 4] as number))]);
}

/** In place of an opcode: the frame goes on with a message. */
export const CONTINUATION = 16;

export class RawWebSocket {
  /** Messages of Socket.IO, in order: the text of Engine.IO's packets, and binary. */
  readonly messages: (string | Buffer)[] = [];
  /** Why it was closed: the code of the close frame, or "cut". */
  closed: number | "cut" | undefined;
  readonly #socket: Socket;
  readonly #changes = new Changes();
  #pending: Buffer = Buffer.alloc(0);
  #state: "head" | "open" = "head";

  private constructor(port: number, session = "") {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.on("error", () => {});
    this.#socket.on("data", (chunk) => this.#onData(chunk));
    this.#socket.on("close", () => {
      this.closed ??= "cut";
      this.#changes.tell();
    });
    this.#socket.write(
      `GET /socket.io/?EIO=4&transport=websocket${session} HTTP/1.1\r\nHost: localhost\r\n` +
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
  }

  /**
   * A client that has joined the main namespace.
   * @param connect what it says to join it
   */
  static async open(port: number, connect = "40"): Promise<RawWebSocket> {
    const client = new RawWebSocket(port);
    await client.untilMessage((message) => message.startsWith("0{"));
    client.send(clientFrame(connect));
    await client.untilMessage((message) => message.startsWith("40{"));
    return client;
  }

  /** A WebSocket to which a client that polls may be upgraded. It says nothing by itself. */
  static async probe(port: number, sid: string): Promise<RawWebSocket> {
    const probe = new RawWebSocket(port, `&sid=${sid}`);
    await probe.#changes.until("opening handshake", () => probe.#state === "open");
    return probe;
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** Stops reading, so that what the server writes gets stuck. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Waits for a text that has come or will. */
  async untilMessage(isIt: (message: string) => boolean): Promise<string> {
    const find = () => this.messages.find((each): each is string => typeof each === "string" && isIt(each));
    return this.#changes.until("message", find);
  }

  async untilClosed(): Promise<number | "cut"> {
    return this.#changes.until("end of the connection", () => this.closed);
  }

  close(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    if (this.#state === "head") {
      const end = this.#pending.indexOf("\r\n\r\n");
      if (end === -1) return;
      if (!this.#pending.includes(" 101 ")) return this.close();
      this.#state = "open";
      this.#pending = this.#pending.subarray(end + 4);
    }
    while (this.#takeFrame());
    this.#changes.tell();
  }

  #takeFrame(): boolean {
    const bytes = this.#pending;
    if (bytes.length < 2) return false;
    const short = (bytes[1] as number) & 0x7f;
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < head) return false;
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    if (bytes.length < head + length) return false;
    this.#onFrame((bytes[0] as number) & 0x0f, bytes.subarray(head, head + length));
    this.#pending = bytes.subarray(head + length);
    return true;
  }

  #onFrame(opcode: number, payload: Buffer): void {
    if (opcode === 8) this.closed = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
    else if (opcode === 2) this.messages.push(Buffer.from(payload));
    else if (payload.toString() === "2") this.send(clientFrame("3"));
    else this.messages.push(payload.toString());
  }
}
