/**
 * The host port: where other hosts reach the workers of this one.
 * Owns: the listener, those who have not proven yet that they are hosts, and the links of those who have. Runs in: primary.
 */
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from "node:net";
import { reportFailure } from "../diagnostics.js";
import type { HostIdentity } from "../hosts/host-call.js";
import { HostAnswer, WATCH } from "../wire/host-proof.js";
import { HostCaller } from "./host-caller.js";
import { leadTo, type WorkerDoor } from "./host-link.js";

/** How many may be unproven at a time: for each one more, the one that has been longest is closed. */
const MAX_UNPROVEN = 256;
const RETRY_MS = 1_000;
const KEEP_ALIVE_MS = 10_000;

export interface HostPortHost {
  /** Who this host is; `undefined` as long as it has not joined the others. */
  identity(): HostIdentity | undefined;
  doorOf(workerId: number): WorkerDoor | "gone" | "closed";
  onListening(port: number): void;
  /** It cannot be opened; it is tried again. */
  onError(error: NodeJS.ErrnoException): void;
}

export class HostPort {
  readonly #where: { readonly host: string; readonly port: number };
  readonly #host: HostPortHost;
  readonly #unproven = new Set<HostCaller>();
  /** Connections of hosts that want to know when this process ends. */
  readonly #watchers = new Set<Socket>();
  readonly #listener: NetServer;
  #retry: NodeJS.Timeout | undefined;
  #links = 0;
  #strangers = 0;
  // open → closed
  #state: "open" | "closed" = "open";

  /** @param where address to bind, and port; 0 for any */
  constructor(where: { readonly host: string; readonly port: number }, host: HostPortHost) {
    this.#where = where;
    this.#host = host;
    const options = {
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    };
    this.#listener = createServer(options, (socket) => this.#accept(socket));
    this.#listener.on("listening", () => {
      host.onListening((this.#listener.address() as AddressInfo).port);
    });
    this.#listener.on("error", (error) => this.#onError(error));
    this.#listen();
  }

  /** Connections of other hosts to workers here that are open. */
  get links(): number {
    return this.#links;
  }

  /** Connections that were closed because nothing was proven on them. */
  get strangers(): number {
    return this.#strangers;
  }

  /** Takes nobody any more. Links stay until their workers close them. */
  close(): void {
    this.#state = "closed";
    clearTimeout(this.#retry);
    this.#listener.close();
    for (const caller of [...this.#unproven]) caller.refuse("the host port was closed");
    for (const watcher of this.#watchers) {
      watcher.end(Buffer.of(HostAnswer.leaving), () => watcher.destroy());
    }
  }

  #addWatcher(watcher: Socket): void {
    this.#watchers.add(watcher);
    watcher.on("error", () => {}).once("end", () => watcher.destroy());
    watcher.once("close", () => this.#watchers.delete(watcher));
    watcher.write(Buffer.of(HostAnswer.reached));
    watcher.resume();
  }

  #listen(): void {
    this.#listener.listen(this.#where).unref();
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#state === "closed") return;
    this.#host.onError(error);
    // A shortage of descriptors, for example, does not close it.
    if (!this.#listener.listening) this.#retry = setTimeout(() => this.#listen(), RETRY_MS).unref();
  }

  #accept(socket: Socket): void {
    const identity = this.#host.identity();
    socket.unref();
    if (!identity) return void socket.on("error", () => {}).destroy();
    const [oldest] = this.#unproven;
    if (this.#unproven.size >= MAX_UNPROVEN) oldest?.refuse("others came after it");
    const caller: HostCaller = new HostCaller(socket, identity, {
      onProven: (proven, target) => {
        this.#unproven.delete(caller);
        if (target === WATCH) return this.#addWatcher(proven);
        this.#links++;
        leadTo(this.#host.doorOf(target), proven, () => this.#links--);
      },
      onStranger: (stranger, why) => {
        this.#unproven.delete(stranger);
        this.#strangers++;
        reportFailure("hosts", `${socket.remoteAddress} was turned away from the host port: ${why}`);
      },
    });
    this.#unproven.add(caller);
  }
}
