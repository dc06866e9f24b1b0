/**
 * A server of this worker whose connections come from the router. To the application it is one that listens:
 * `listening`, `address()`, `listen()`, `close()` and all that waits for connections are as Node.js has them.
 * Owns: what stands in for the server's listening, the connections, the end of keep-alive. Runs in: workers.
 */
import { EventEmitter } from "node:events";
import { Server as NetServer, type Socket } from "node:net";
import {
  adoptHandle,
  announceListening,
  type Handle,
  listenerOf,
  onClosing,
  removeStandIn,
  standInForListening,
  trackHttpConnections,
} from "../handle/node-internals.js";
import type { ListenAddress } from "../wire/messages.js";
import { KeepAlive } from "./keep-alive.js";

/** How long a `listen()` that was called before may take. */
const LISTEN_MS = 1_000;

export interface RoutedServerEvents {
  /** The application closes it: it takes no more connections. */
  closing: [];
  /** It and all its connections are closed. */
  closed: [];
}

export class RoutedServer extends EventEmitter<RoutedServerEvents> {
  readonly server: NetServer;
  /** Settles when it and all its connections are closed. */
  readonly closed: Promise<void>;
  /** Settles when it can take connections; see {@link isPrepared}. */
  readonly prepared: Promise<void>;
  readonly #hasRouter: () => Promise<boolean>;
  readonly #keepAlive: KeepAlive;
  readonly #sockets = new Set<Socket>();
  readonly #paths = new Set<{ readonly path: string }>();
  /** `undefined` while it listens itself. */
  #setAddress: ((address: ListenAddress) => void) | undefined;
  /** Where the application wanted it to listen; `undefined` until it has called `listen()`. */
  #wanted: ListenAddress | undefined;
  #isPrepared: boolean;
  /** Where the router's server listens, if that is known. */
  #address: ListenAddress | undefined;
  // open → closing → closed
  #state: "open" | "closing" | "closed" = "open";

  /** @param hasRouter settles when it is known whether the primary has a router */
  constructor(server: NetServer, hasRouter: () => Promise<boolean>) {
    super();
    // One for each Socket.IO server on it.
    this.setMaxListeners(0);
    this.server = server;
    this.closed = new Promise((resolve) => void this.once("closed", resolve));
    this.#hasRouter = hasRouter;
    this.#keepAlive = new KeepAlive(server);
    trackHttpConnections(server);
    server.on("connection", this.#onConnection);
    server.once("close", this.#onClosed);
    const listener = listenerOf(server);
    if (listener === "nobody") this.#standIn();
    else if (listener === "itself") onClosing(server, () => this.#onClosing());
    this.#isPrepared = listener === "nobody" || listener === "itself";
    this.prepared = this.#isPrepared ? Promise.resolve() : this.#takeOver(listener);
  }

  /** Whether it can take connections. */
  isPrepared(): boolean {
    return this.#isPrepared;
  }

  /** @param head what was read of the connection */
  accept(handle: Handle, head: string, prepare: (socket: Socket) => void): void {
    const socket = adoptHandle(handle, this.server);
    prepare(socket);
    this.server.emit("connection", socket);
    if (head.length > 0) socket.unshift(Buffer.from(head, "latin1"));
  }

  /** The router's server listens there. */
  tellAddress(address: ListenAddress): void {
    this.#address = address;
    this.#setAddress?.(address);
  }

  /** It gets no more connections: those that are idle are closed, the others after their answers. */
  leave(): void {
    this.#keepAlive.end();
  }

  /** It gets connections again. */
  rejoin(): void {
    this.#keepAlive.resume();
  }

  /** Requests whose target starts with `path` are Socket.IO's. Returns the function that takes it back. */
  addPath(path: string): () => void {
    const entry = { path };
    this.#paths.add(entry);
    return () => void this.#paths.delete(entry);
  }

  /** Waits until no answer is in progress but Socket.IO's, whose long polls only end with their clients. */
  requestsDone(): Promise<void> {
    return this.#keepAlive.requestsDone((target) => {
      for (const { path } of this.#paths) if (target.startsWith(path)) return false;
      return true;
    });
  }

  /** Cuts all connections off. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  readonly #onConnection = (socket: Socket): void => {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
  };

  #onClosing(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.emit("closing");
    this.leave();
  }

  readonly #onClosed = (): void => {
    if (this.#state === "closed") return;
    this.#onClosing();
    this.#state = "closed";
    this.#keepAlive.release();
    this.server.off("connection", this.#onConnection);
    if (this.#setAddress) Reflect.deleteProperty(this.server, "listen");
    this.emit("closed");
  };

  #standIn(): void {
    this.#setAddress = standInForListening(this.server);
    onClosing(this.server, () => this.#onClosing());
    const address = this.#address ?? this.#wanted;
    if (address !== undefined) this.#setAddress(address);
    shadow(this.server, "listen", (...args: unknown[]) => this.#listen(args));
  }

  /** The application has called `listen()` before: with a router, the place must be left to that. */
  async #takeOver(listener: ReturnType<typeof listenerOf>): Promise<void> {
    const { server } = this;
    const hasRouter = await this.#hasRouter();
    if (listener === "unknown" && !server.listening) await listening(server);
    this.#isPrepared = true;
    if (this.#state !== "open") return;
    if (hasRouter || !server.listening) {
      this.#wanted = server.address() ?? undefined;
      this.#standIn();
    } else {
      onClosing(server, () => this.#onClosing());
    }
  }

  /** The application's `listen()`: connections come from the router, so all is done but to say so. */
  #listen(args: readonly unknown[]): NetServer {
    const { server } = this;
    // Node.js itself says that it listens already.
    if (this.#wanted !== undefined) return NetServer.prototype.listen.apply(server, args as [undefined]);
    this.#wanted = wantedAddress(args);
    const callback = args.at(-1);
    if (typeof callback === "function") server.once("listening", callback as () => void);
    void this.#hasRouter().then((hasRouter) => {
      if (this.#state !== "open") return;
      if (hasRouter) this.#sayListening();
      else this.#listenItself(typeof callback === "function" ? args.slice(0, -1) : args);
    });
    return server;
  }

  #sayListening(): void {
    // Until the router's server listens, too, the address is what the application wanted.
    if (this.#address === undefined && this.#wanted !== undefined) this.#setAddress?.(this.#wanted);
    this.server.emit("listening");
    const address = this.server.address();
    if (address) announceListening(address);
  }

  #listenItself(args: readonly unknown[]): void {
    const { server } = this;
    removeStandIn(server);
    this.#setAddress = undefined;
    Reflect.deleteProperty(server, "listen");
    server.once("listening", () => onClosing(server, () => this.#onClosing()));
    server.listen(...(args as []));
  }
}

/** Waits until `listen()` has succeeded. Its failure is the application's to hear, and may have come before. */
function listening(server: NetServer): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.off("listening", done);
      resolve();
    }, LISTEN_MS);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    server.once("listening", done);
  });
}

/** Replaces a method of one object; `delete` brings its own back. */
function shadow(owner: object, name: string, value: unknown): void {
  Object.defineProperty(owner, name, { configurable: true, writable: true, value });
}

/** Where `server.listen(...args)` would listen. */
function wantedAddress([first, second]: readonly unknown[]): ListenAddress {
  const options = typeof first === "object" && first !== null ? (first as Record<string, unknown>) : {};
  const path = options.path ?? (typeof first === "string" && Number.isNaN(Number(first)) ? first : undefined);
  if (typeof path === "string") return path;
  const port = Number(options.port ?? (typeof first === "function" ? 0 : first)) || 0;
  const host = options.host ?? second;
  const address = typeof host === "string" ? host : "::";
  return { address, port, family: address.includes(":") ? "IPv6" : "IPv4" };
}
