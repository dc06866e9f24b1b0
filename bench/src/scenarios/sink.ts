/**
 * A client without a network: the real Engine.IO `Socket` over a transport that only looks at what it is
 * given. All of Socket.IO's own path is there (namespace, rooms, `client.writeToEngine`, `conn.write`,
 * write buffer, drain); what is missing is the WebSocket, whose cost is the same for every adapter.
 * Runs in: workers.
 */
import { IncomingMessage } from "node:http";
import { Socket as NetSocket } from "node:net";
import { Socket as EngineSocket, Transport } from "engine.io";
import type { Server, Socket } from "socket.io";

type Packets = Parameters<Transport["send"]>[0];
type Packet = Packets[number];
type EngineRequest = ConstructorParameters<typeof EngineSocket>[3];
type OnData = (data: string | Uint8Array, start: number) => void;

const ENGINE_PROTOCOL = 4;
/** Opcode of a text frame. */
const TEXT_FRAME = 1;

class SinkTransport extends Transport {
  readonly #onData: OnData;

  constructor(query: Record<string, string>, onData: OnData) {
    super({ _query: query });
    this.#onData = onData;
    this.writable = true;
  }

  override get name(): string {
    return "websocket";
  }

  /** Like the WebSocket transport: not writable until the write is through, which is after this turn's code. */
  override send(packets: Packets): void {
    this.writable = false;
    for (const packet of packets) this.#take(packet);
    process.nextTick(this.#sent);
  }

  override doClose(done?: () => void): void {
    done?.();
  }

  receive(data: string): void {
    this.onData(data);
  }

  readonly #sent = () => {
    this.emit("drain");
    this.writable = true;
    this.emit("ready");
  };

  /** Reads what a WebSocket would send: the prepared frame if there is one, else the packet's data. */
  #take(packet: Packet): void {
    if (packet.type !== "message") return;
    const { wsPreEncodedFrame: frame } = (packet.options ?? {}) as { wsPreEncodedFrame?: Buffer[] };
    if (!frame) {
      this.#onData(packet.data as unknown as string | Uint8Array, 0);
      return;
    }
    const head = frame[0] as Buffer;
    const payload = frame.at(-1) as Buffer;
    const start = frame.length === 1 ? headBytes(head) : 0;
    // Engine.IO puts the type of its packet before texts, not before binary data.
    const isText = ((head[0] ?? 0) & 0x0f) === TEXT_FRAME;
    this.#onData(payload, isText ? start + 1 : start);
  }
}

/** Length of the head of a server's WebSocket frame. */
function headBytes(frame: Buffer): number {
  const length = frame[1] ?? 0;
  return length === 127 ? 10 : length === 126 ? 4 : 2;
}

/** Connects one such client to the main namespace. */
export async function connectSink(io: Server, id: string, onData: OnData): Promise<Socket> {
  const query = { EIO: String(ENGINE_PROTOCOL), transport: "websocket" };
  const transport = new SinkTransport(query, onData);
  const connected = new Promise<Socket>((resolve) => io.once("connection", resolve));
  const conn = new EngineSocket(id, io.engine, transport, request(query), ENGINE_PROTOCOL);
  io.engine.emit("connection", conn);
  transport.receive("40");
  return await connected;
}

/** The request of a browser: what `fetchSockets()` carries around as the handshake. */
function request(query: Record<string, string>): EngineRequest {
  const message = new IncomingMessage(new NetSocket());
  message.method = "GET";
  message.url = `/socket.io/?${new URLSearchParams(query)}`;
  message.headers = {
    host: "127.0.0.1:3000",
    connection: "Upgrade",
    upgrade: "websocket",
    origin: "http://127.0.0.1:3000",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept-language": "en-US,en;q=0.9",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  return Object.assign(message, { _query: query }) as EngineRequest;
}
