/**
 * Many clients that come back with their sessions, on the wire: thousands of Socket.IO's own would measure themselves.
 * Each remembers what a client has to: its private id, and the offset of the last event. Runs in: tests.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Changes, within } from "@holdfast/harness";
import WebSocket from "ws";

/** So many connect at the same time: more would only wait in the server's backlog. */
const AT_ONCE = 200;
const RETRY_MS = 50;
const CONNECT = "40";
const EVENT = "42";

export class ReturningClient {
  id = "";
  /** How often it got a session that was not the one it asked for, the first one apart. */
  lost = 0;
  /** The first argument of each event. */
  readonly received: unknown[] = [];
  readonly #onEvent: () => void;
  #privateId = "";
  #offset = "";
  #socket: WebSocket | undefined;

  constructor(onEvent: () => void) {
    this.#onEvent = onEvent;
  }

  /** Connects, and settles when it has a session. Tries again if the system has too many connections at once. */
  async connect(url: string): Promise<void> {
    await within(this.#keepTrying(url), "session", 60_000);
  }

  async #keepTrying(url: string): Promise<void> {
    for (;;) {
      try {
        return await this.#tryOnce(url);
      } catch {
        await sleep(RETRY_MS);
      }
    }
  }

  async #tryOnce(url: string): Promise<void> {
    const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    this.#socket = socket;
    await new Promise<void>((resolve, reject) => {
      socket.on("error", reject);
      socket.on("close", reject);
      socket.on("message", (data) => this.#onPacket(socket, String(data), resolve));
    });
  }

  leave(): void {
    // It may be gone already, with its worker.
    this.#socket?.on("error", () => {});
    this.#socket?.terminate();
  }

  #onPacket(socket: WebSocket, packet: string, onConnect: () => void): void {
    if (packet === "2") socket.send("3");
    else if (packet.startsWith("0")) {
      const session = this.#offset ? JSON.stringify({ pid: this.#privateId, offset: this.#offset }) : "";
      socket.send(CONNECT + session);
    } else if (packet.startsWith(CONNECT)) {
      const { sid, pid } = JSON.parse(packet.slice(CONNECT.length)) as { sid: string; pid: string };
      if (this.#privateId && pid !== this.#privateId) this.lost++;
      [this.id, this.#privateId] = [sid, pid];
      onConnect();
    } else if (packet.startsWith(EVENT)) {
      const args = JSON.parse(packet.slice(EVENT.length)) as unknown[];
      this.#offset = args.at(-1) as string;
      this.received.push(args[1]);
      this.#onEvent();
    }
  }
}

export class ReturningClients {
  readonly #changes = new Changes();
  all: ReturningClient[] = [];
  #look: NodeJS.Immediate | undefined;

  /** Connects so many clients. */
  async connect(url: string, count: number): Promise<void> {
    this.all = Array.from({ length: count }, () => new ReturningClient(() => this.#onEvent()));
    for (let at = 0; at < count; at += AT_ONCE) {
      await Promise.all(this.all.slice(at, at + AT_ONCE).map((client) => client.connect(url)));
    }
  }

  /** All of them at once. */
  async comeBack(url: string): Promise<void> {
    await Promise.all(this.all.map((client) => client.connect(url)));
  }

  /** Waits until each of them has got this. */
  async have(value: unknown): Promise<void> {
    const isThere = () => this.all.every(({ received }) => received.at(-1) === value);
    await this.#changes.until(`${value} at all clients`, isThere, 60_000);
  }

  /** One look at thousands of clients has to do for what they get in one turn. */
  #onEvent(): void {
    this.#look ??= setImmediate(() => {
      this.#look = undefined;
      this.#changes.tell();
    });
  }

  close(): void {
    clearImmediate(this.#look);
    for (const client of this.all.splice(0)) client.leave();
  }
}
