/**
 * A WebSocket client with nothing in it but what a measurement needs: it knows Engine.IO's and Socket.IO's
 * packet types and leaves events as bytes. Cheap, so that load generators do not starve what they measure.
 * Runs in: load generators.
 */
import { connect as open, type Socket } from "node:net";

const Opcode = { text: 1, binary: 2, close: 8 } as const;
/** First characters of packets: Engine.IO open, ping, message; Socket.IO connect, event, binary event. */
const Char = {
  open: 0x30,
  ping: 0x32,
  message: 0x34,
  connect: 0x30,
  event: 0x32,
  binaryEvent: 0x35,
} as const;

/** A client's frame must be masked; a key of zeros leaves the bytes as they are. */
function textFrame(text: string): Buffer {
  const body = Buffer.from(text);
  if (body.length > 125) throw new Error("only short texts are sent here");
  const head = Buffer.from([0x80 | Opcode.text, 0x80 | body.length, 0, 0, 0, 0]);
  return Buffer.concat([head, body]);
}

const CONNECT = "40";
const PONG = textFrame("3");

function upgradeRequest(port: number): string {
  return [
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
    `Host: 127.0.0.1:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "",
    "",
  ].join("\r\n");
}

export interface WsEvents {
  /** The main namespace is joined; the answer's Socket.IO packet starts at `start` in `data`. */
  connected?(client: WsClient, data: Buffer, start: number): void;
  /** An event; its Socket.IO packet starts at `start` in `data`. */
  event?(data: Buffer, start: number, client: WsClient): void;
  /** The connection ended, whoever ended it. */
  closed?(client: WsClient, reason: string): void;
}

export class WsClient {
  // upgrading → open → connected → closed; any state → closed
  state: "upgrading" | "open" | "connected" | "closed" = "upgrading";
  readonly #socket: Socket;
  readonly #events: WsEvents;
  readonly #connect: string;
  #rest: Buffer = Buffer.alloc(0);

  /**
   * @param localAddress the client's own address, where the system has more than one for loopback
   * @param connect what joins the main namespace
   */
  constructor(port: number, events: WsEvents, localAddress = "127.0.0.1", connect = CONNECT) {
    this.#events = events;
    this.#connect = connect;
    const socket = open({ port, host: "127.0.0.1", localAddress, noDelay: true });
    this.#socket = socket;
    socket.write(upgradeRequest(port));
    socket.on("data", (chunk) => this.#read(chunk));
    socket.on("error", (error) => this.#close(error.message));
    socket.on("close", () => this.#close("closed by the server"));
  }

  close(): void {
    this.#close("closed by the client");
  }

  #close(reason: string): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#socket.destroy();
    this.#events.closed?.(this, reason);
  }

  #read(chunk: Buffer): void {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (this.state === "upgrading") {
      const end = data.indexOf("\r\n\r\n");
      if (end >= 0) {
        const status = data.toString("latin1", 0, 12);
        if (status !== "HTTP/1.1 101") {
          this.#close(`answered with ${status}`);
          return;
        }
        this.state = "open";
        data = data.subarray(end + 4);
      }
    }
    this.#rest = this.state === "upgrading" ? data : data.subarray(this.#frames(data));
  }

  /** @returns how many bytes were whole frames */
  #frames(data: Buffer): number {
    let at = 0;
    while (data.length - at >= 2 && this.state !== "closed") {
      const opcode = (data[at] ?? 0) & 0x0f;
      let length = (data[at + 1] ?? 0) & 0x7f;
      let start = at + 2;
      if (length === 126) {
        if (data.length < start + 2) break;
        length = data.readUInt16BE(start);
        start += 2;
      } else if (length === 127) {
        if (data.length < start + 8) break;
        length = Number(data.readBigUInt64BE(start));
        start += 8;
      }
      if (data.length < start + length) break;
      if (opcode === Opcode.text) this.#packet(data, start);
      else if (opcode === Opcode.close) this.#close("closed by the server");
      at = start + length;
    }
    return at;
  }

  #packet(data: Buffer, start: number): void {
    switch (data[start]) {
      case Char.open:
        this.#socket.write(textFrame(this.#connect));
        break;
      case Char.ping:
        this.#socket.write(PONG);
        break;
      case Char.message: {
        const type = data[start + 1];
        if (type === Char.connect) {
          this.state = "connected";
          this.#events.connected?.(this, data, start + 1);
        } else if (type === Char.event || type === Char.binaryEvent) {
          this.#events.event?.(data, start + 1, this);
        }
        break;
      }
    }
  }
}
