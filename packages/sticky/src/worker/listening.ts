/**
 * How a server of this worker gets its connections: the router brings them, or it listens itself.
 * Owns: what stands in for listening, the server's `listen()` meanwhile, the look at its handle's closing.
 * Runs in: workers.
 *
 * While there is a router, or may be one, the server counts as listening, and its `listen()` opens nothing. Without one
 * it is as Node.js has it. A router that comes late gets the connections from then on, and the port, if node:cluster has
 * it; one that the server has for itself (`exclusive`, `reusePort`) stays open.
 */
import { Server as NetServer } from "node:net";
import { runApplication } from "../faults.js";
import {
  announceListening,
  listenerOf,
  onClosing,
  removeStandIn,
  standInForListening,
} from "../handle/node-internals.js";
import type { ListenAddress } from "../wire/messages.js";

/** How long a `listen()` that was called before may take. */
const LISTEN_MS = 1_000;

export interface ListeningHost {
  /** Settles when it is known whether the primary has a router; `undefined` outside a cluster, where there is none. */
  readonly hasRouter: (() => Promise<boolean>) | undefined;
  /** A router can bring connections from now on. */
  onPrepared(): void;
  /** There is no router. */
  onOwn(): void;
  /** The application closes the server. */
  onClosing(): void;
}

export class Listening {
  readonly #server: NetServer;
  readonly #host: ListeningHost;
  // undecided → routed | own | retired; own ⇄ retired; own → routed (a late router); any → over
  #state: "undecided" | "routed" | "own" | "retired" | "over" = "undecided";
  #isDeciding = false;
  /** Says where a server for which this one stands in listens; `undefined` while this one does not stand in. */
  #setAddress: ((address: ListenAddress) => void) | undefined;
  /** Who listens for the server while it does not stand in. */
  #listener: ReturnType<typeof listenerOf> = "nobody";
  /** Where the application wanted it to listen; `undefined` until it has called `listen()`. */
  #wanted: ListenAddress | undefined;
  /** The application's `listen()` that was put off. */
  #putOff: readonly unknown[] | undefined;
  /** Where the router's server listens, if that is known. */
  #address: ListenAddress | undefined;

  constructor(server: NetServer, host: ListeningHost) {
    this.#server = server;
    this.#host = host;
    this.#listener = listenerOf(server);
    if (!host.hasRouter) this.#state = "own";
    else if (this.#listener === "nobody") this.#standIn();
    if (!this.#setAddress) this.#watch();
    // Applications with as many servers on it as Node.js allows shall not be warned because of this one.
    if (server.getMaxListeners() > 0) server.setMaxListeners(server.getMaxListeners() + 1);
    // First: when a listener of the application throws, Node.js calls none after it.
    server.prependListener("listening", this.#onListening);
  }

  /** Finds out, once, whether a router brings the connections. */
  decide(): void {
    if (!this.#host.hasRouter || this.#isDeciding) return;
    this.#isDeciding = true;
    void this.#find(this.#host.hasRouter);
  }

  /** Whether a router can bring connections. */
  isPrepared(): boolean {
    return this.#setAddress !== undefined || this.#listener === "itself";
  }

  /** Whether the server listens itself. */
  isOwn(): boolean {
    return this.#state === "own";
  }

  /** There is a router; its server listens there, if it does. */
  onRouter(address: ListenAddress | undefined): void {
    this.#address = address ?? this.#address;
    if (this.#state === "own") void this.#takeOver();
    else if (address !== undefined) this.#setAddress?.(address);
  }

  /** Takes no more connections by itself. */
  retire(): void {
    const isOwn = this.#state === "own" && this.#server.listening;
    if (!isOwn && this.#state !== "undecided") return;
    if (!this.#setAddress) this.#standIn();
    this.#state = "retired";
  }

  /** Undoes {@link retire}; the application may call `listen()` again. */
  rejoin(): void {
    if (this.#state === "retired") this.#becomeOwn();
  }

  /** The server is closed. */
  release(): void {
    this.#state = "over";
    this.#server.off("listening", this.#onListening);
    if (this.#server.getMaxListeners() > 0) this.#server.setMaxListeners(this.#server.getMaxListeners() - 1);
    if (this.#setAddress) Reflect.deleteProperty(this.#server, "listen");
  }

  async #find(hasRouter: () => Promise<boolean>): Promise<void> {
    const isRouted = await hasRouter();
    if (this.#state !== "undecided") return;
    if (isRouted) await this.#takeOver();
    else this.#becomeOwn();
  }

  /** A router brings connections: the place must be left to it. */
  async #takeOver(): Promise<void> {
    const before = this.#state;
    const wasPrepared = this.isPrepared();
    if (!this.#setAddress && listenerOf(this.#server) === "unknown") await listening(this.#server);
    if (this.#state !== before) return;
    this.#state = "routed";
    if (!this.isPrepared()) {
      this.#wanted = this.#server.address() ?? undefined;
      this.#standIn();
    }
    if (!wasPrepared) this.#host.onPrepared();
    if (this.#putOff) this.#sayListening();
    this.#putOff = undefined;
  }

  #becomeOwn(): void {
    this.#state = "own";
    this.#host.onOwn();
    if (!this.#setAddress) return;
    removeStandIn(this.#server);
    this.#setAddress = undefined;
    this.#wanted = undefined;
    Reflect.deleteProperty(this.#server, "listen");
    const args = this.#putOff;
    this.#putOff = undefined;
    if (args) this.#listenItself(args);
  }

  #listenItself(args: readonly unknown[]): void {
    try {
      this.#server.listen(...(args as []));
    } catch (error) {
      // Arguments that are wrong: the application's call has returned long ago.
      runApplication(() => this.#server.emit("error", error));
    }
  }

  #standIn(): void {
    const server = this.#server;
    this.#setAddress = standInForListening(server);
    this.#listener = "nobody";
    onClosing(this.#server, this.#onClosing);
    const address = this.#address ?? this.#wanted;
    if (address !== undefined) this.#setAddress(address);
    shadow(server, "listen", (...args: unknown[]) => this.#listen(args));
  }

  /** The application's `listen()`: connections come from the router, so all is done but to say so. */
  #listen(args: readonly unknown[]): NetServer {
    const server = this.#server;
    // Node.js itself says that it listens already.
    if (this.#wanted !== undefined) return NetServer.prototype.listen.apply(server, args as [undefined]);
    this.#wanted = wantedAddress(args);
    const callback = args.at(-1);
    if (typeof callback === "function") server.once("listening", callback as () => void);
    const rest = typeof callback === "function" ? args.slice(0, -1) : args;
    if (this.#state === "undecided") this.#putOff = rest;
    else process.nextTick(() => this.#state === "routed" && this.#sayListening());
    return server;
  }

  #sayListening(): void {
    // Until the router's server listens, too, the address is what the application wanted.
    if (this.#address === undefined && this.#wanted !== undefined) this.#setAddress?.(this.#wanted);
    runApplication(() => this.#server.emit("listening"));
    const address = this.#server.address();
    if (address) announceListening(address);
  }

  /** The server has opened a place of its own. */
  readonly #onListening = (): void => {
    if (!this.#setAddress && this.#listener !== "itself" && this.#listener !== "cluster") this.#watch();
  };

  #watch(): void {
    this.#listener = listenerOf(this.#server);
    onClosing(this.#server, this.#onClosing);
  }

  readonly #onClosing = (): void => {
    this.#listener = "nobody";
    this.#host.onClosing();
  };
}

/** Waits until `listen()` has succeeded. Its failure is the application's to hear, and may have come before. */
function listening(server: NetServer): Promise<void> {
  if (server.listening) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.off("listening", done);
      resolve();
    }, LISTEN_MS);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    server.prependOnceListener("listening", done);
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
