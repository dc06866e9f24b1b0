/** A real Socket.IO client that loses its connection on demand and comes back elsewhere. Runs in: tests. */

import { once } from "node:events";
import { Changes, within } from "@holdfast/harness";
import { io, Manager, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";

/** What the client's library keeps to itself. */
interface ClientPrivates {
  _pid: string | undefined;
  _lastOffset: string | undefined;
}
interface Engine {
  close(): void;
  readonly transport: { readonly name: string; readonly ws?: { terminate(): void } };
}
interface ManagerPrivates {
  uri: string;
  readonly engine: Engine;
  onclose(reason: string): void;
}

export type RecoveringOptions = Partial<ManagerOptions & SocketOptions>;

export class RecoveringClient {
  readonly socket: Socket;
  /** Events and their arguments without the offset, in order of arrival. */
  readonly received: unknown[][] = [];
  /** One entry for each time the client was connected. */
  readonly connects: { readonly id: string; readonly recovered: boolean }[] = [];
  readonly #arrivals = new Changes();
  /** Connections that were left alone and still look alive to their worker. */
  readonly #abandoned: Engine[] = [];

  constructor(url: string, options: RecoveringOptions = {}, namespace = "/", manager?: Manager) {
    const settings = { reconnectionDelay: 1, reconnectionDelayMax: 50, randomizationFactor: 0.5, ...options };
    this.socket = manager
      ? manager.socket(namespace)
      : io(url + namespace, { forceNew: true, transports: ["websocket"], ...settings });
    this.socket.on("connect", () => {
      this.connects.push({ id: this.socket.id ?? "", recovered: this.socket.recovered });
    });
    this.socket.onAny((event: string, ...args: unknown[]) => {
      this.received.push([event, ...(this.offset === undefined && !args.length ? args : args.slice(0, -1))]);
      this.#arrivals.tell();
    });
  }

  get offset(): string | undefined {
    return this.#privates._lastOffset;
  }

  set offset(offset: string) {
    this.#privates._lastOffset = offset;
  }

  get privateId(): string | undefined {
    return this.#privates._pid;
  }

  set privateId(privateId: string) {
    this.#privates._pid = privateId;
  }

  get id(): string {
    return this.socket.id ?? "";
  }

  /** Arguments of each event of this name. */
  of(event: string): unknown[][] {
    return this.received.filter(([name]) => name === event).map(([, ...args]) => args);
  }

  /** The next time that it is connected; the start of the wait goes before the act. */
  async connected(): Promise<{ id: string; recovered: boolean }> {
    await within(once(this.socket as never, "connect"), "connection");
    return this.connects.at(-1) as { id: string; recovered: boolean };
  }

  async next(event: string): Promise<void> {
    await within(once(this.socket as never, event), `"${event}" at client ${this.id}`);
  }

  /** Waits until it has received this very event, if it has not yet. */
  async has(event: string, ...args: unknown[]): Promise<void> {
    const wanted = JSON.stringify([event, ...args]);
    const isThere = () => this.received.some((entry) => JSON.stringify(entry) === wanted);
    await this.#arrivals.until(`${wanted} at client ${this.id}`, isThere);
  }

  /** Loses the connection as its worker sees it at once, and comes back at `url`. */
  async drop(url: string): Promise<{ id: string; recovered: boolean }> {
    const back = this.connected();
    this.leave(url);
    return back;
  }

  /** The same without waiting. */
  leave(url: string): void {
    const manager = this.#manager;
    manager.uri = url;
    const { ws } = manager.engine.transport;
    if (ws) ws.terminate();
    else manager.onclose("transport close");
  }

  /** Comes back at `url` while the old connection still looks alive: it even answers pings. */
  async abandon(url: string): Promise<{ id: string; recovered: boolean }> {
    const back = this.connected();
    this.desert(url);
    return back;
  }

  /** The same without waiting. */
  desert(url: string): void {
    const manager = this.#manager;
    const { engine } = manager;
    const close = engine.close.bind(engine);
    this.#abandoned.push({ ...engine, close });
    Object.assign(engine, { close: () => {} });
    manager.uri = url;
    manager.onclose("abandoned");
  }

  /** Where the next connection goes to. */
  goesTo(url: string): void {
    this.#manager.uri = url;
  }

  close(): void {
    for (const engine of this.#abandoned.splice(0)) engine.close();
    this.socket.disconnect();
  }

  get #manager(): ManagerPrivates {
    return this.socket.io as unknown as ManagerPrivates;
  }

  get #privates(): ClientPrivates {
    return this.socket as unknown as ClientPrivates;
  }
}

/** Owns the clients of one test file. */
export class RecoveringClients {
  readonly all: RecoveringClient[] = [];

  /** Connects, and waits for that. */
  async connect(url: string, options?: RecoveringOptions, namespace?: string): Promise<RecoveringClient> {
    const client = this.add(new RecoveringClient(url, options, namespace));
    await client.connected();
    return client;
  }

  add(client: RecoveringClient): RecoveringClient {
    this.all.push(client);
    return client;
  }

  close(): void {
    for (const client of this.all.splice(0)) client.close();
  }
}

export { Manager };
