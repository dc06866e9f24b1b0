/** Real Socket.IO clients for tests. Runs in: tests. */
import { within } from "@holdfast/harness";
import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import type { RemoteWorker } from "./cluster.js";

export type ClientOptions = Partial<ManagerOptions & SocketOptions>;

/** A client that remembers what it received, by event. */
export class TestClient {
  readonly socket: Socket;
  readonly #received = new Map<string, unknown[][]>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.onAny((event: string, ...all: unknown[]) => {
      const args = withoutOffset(all);
      const list = this.#received.get(event);
      if (list) list.push(args);
      else this.#received.set(event, [args]);
    });
  }

  get id(): string {
    return this.socket.id ?? "";
  }

  /** Arguments of each event of this name, in order of arrival. */
  received(event: string): unknown[][] {
    return this.#received.get(event) ?? [];
  }

  /** The arguments of the next event of this name. Start it before the act that causes the event. */
  async next(event: string): Promise<unknown[]> {
    const arrived = new Promise<unknown[]>((resolve) => {
      this.socket.once(event, (...args: unknown[]) => resolve(withoutOffset(args)));
    });
    return within(arrived, `"${event}" at client ${this.id}`);
  }

  /** Waits for an event of this name, unless one has come already. */
  async untilReceived(event: string): Promise<void> {
    if (this.received(event).length === 0) await this.next(event);
  }

  close(): void {
    this.socket.disconnect();
  }
}

/** With connection state recovery, listeners get the offset as one more argument. */
function withoutOffset(args: unknown[]): unknown[] {
  const last = args.at(-1);
  return typeof last === "string" && OFFSET.test(last) ? args.slice(0, -1) : args;
}

const OFFSET = /^[\w-]{4}0[0-9a-z]{9}$/;

/** Owns the clients of one test file. */
export class Clients {
  readonly #open = new Set<TestClient>();

  async connect(url: string, options: ClientOptions = {}): Promise<TestClient> {
    const client = new TestClient(
      io(url, { forceNew: true, reconnection: false, transports: ["websocket"], ...options }),
    );
    this.#open.add(client);
    await whenConnected(client.socket, url);
    return client;
  }

  /** Connects to one worker of a cluster without a router. */
  async connectTo(worker: RemoteWorker, options?: ClientOptions, path = "/"): Promise<TestClient> {
    return this.connect(worker.url + path, options);
  }

  close(): void {
    for (const client of this.#open) client.close();
    this.#open.clear();
  }
}

/** Waits for a client that has just been made; fails with what it is refused with. */
export async function whenConnected(socket: Socket, url: string): Promise<void> {
  const connected = new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  await within(connected, `connection to ${url}`);
}
