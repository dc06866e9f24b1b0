/**
 * The control for deliveries to WebSocket clients: a loop that writes prepared frames with `socket.write()` to all of
 * them, and nothing else. It knows so much of HTTP, Engine.IO and Socket.IO that clients believe it.
 * Program: one process.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Agent, readConfig } from "@holdfast/harness";
import { USAGE_COMMANDS } from "../lib/usage.js";
import { Emitter, type Pace } from "../scenarios/emitter.js";
import { FILLER } from "../scenarios/network.js";
import { EVENT, numbered } from "../scenarios/sequence.js";
import { stamp } from "../scenarios/stamp.js";

export interface RawClientsConfig {
  /** Whether the frames of a turn go in one write. */
  readonly joins: boolean;
}

/** What a server answers an upgrade with; nobody here looks at the key. */
const UPGRADED = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
const TEXT = 0x81;
const CONNECT = "40";

const { joins } = readConfig<RawClientsConfig>();
const sockets: Socket[] = [];
const agent = new Agent();

/** A frame that is not masked, as a server's are not. */
function textFrame(text: string): Buffer {
  const head = text.length < 126 ? [TEXT, text.length] : [TEXT, 126, text.length >> 8, text.length & 0xff];
  return Buffer.concat([Buffer.from(head), Buffer.from(text)]);
}

function welcome(socket: Socket): void {
  socket.setNoDelay(true);
  socket.once("data", () => {
    socket.write(UPGRADED, "latin1");
    socket.write(textFrame(`0${JSON.stringify({ sid: "raw", upgrades: [], pingInterval: 25_000 })}`));
    // The load generator's mask is zero, so that its words can be read.
    socket.on("data", (chunk) => {
      if (!chunk.includes(CONNECT)) return;
      sockets.push(socket);
      socket.write(textFrame('40{"sid":"raw"}'));
    });
  });
  socket.on("error", () => {});
}

const emitter = new Emitter(agent, (first, count) => {
  const frames: Buffer[] = [];
  for (let sequence = first; sequence < first + count; sequence++) {
    const event = [EVENT, numbered(sequence), stamp() + FILLER];
    frames.push(textFrame(`42${JSON.stringify(event)}`));
  }
  const writes = joins ? [Buffer.concat(frames)] : frames;
  for (const data of writes) for (const socket of sockets) socket.write(data);
});

const server = createServer(welcome).listen(0, "127.0.0.1", 4096);
await once(server, "listening");
agent.ready(
  { role: "worker", workerId: 1, port: (server.address() as AddressInfo).port },
  { ...USAGE_COMMANDS, emit: (pace: Pace) => emitter.run(pace) },
);
