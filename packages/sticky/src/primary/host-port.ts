/**
 * The host port: where other hosts reach the workers of this one.
 * Owns: the listener, those who have not proven yet that they are hosts, and the links of those who have. Runs in: primary.
 */
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from "node:net";
import { reportFailure } from "../diagnostics.js";
import type { HostIdentity } from "../hosts/host-call.js";
import type { HostCredentials } from "../wire/host-credentials.js";
import { HostAnswer, WATCH } from "../wire/host-proof.js";
import { HostCaller, type HostCallerEvents, PROOF_MS } from "./host-caller.js";
import { HostHandshakes } from "./host-handshakes.js";
import { leadTo, type WorkerDoor } from "./host-link.js";

/**
 * How many may be unproven at a time: for each one more, the one that has been longest is closed. With TLS, as many more
 * may be in their handshake.
 */
const MAX_UNPROVEN = 256;
const RETRY_MS = 1_000;
const KEEP_ALIVE_MS = 10_000;

/** Where and how it listens. */
export interface HostPortPlace {
  /** Address to bind. */
  readonly host: string;
  /** 0 for any. */
  readonly port: number;
  /** `undefined` for no TLS. */
  readonly tls: HostCredentials | undefined;
}

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
  /** `undefined` without TLS. */
  readonly #handshakes: HostHandshakes | undefined;
  readonly #unproven = new Set<HostCaller>();
  /** Connections of hosts that want to know when this process ends. */
  readonly #watchers = new Set<Socket>();
  readonly #listener: NetServer;
  #retry: NodeJS.Timeout | undefined;
  #links = 0;
  #strangers = 0;
  // open → closed
  #state: "open" | "closed" = "open";

  constructor({ host: address, port, tls }: HostPortPlace, host: HostPortHost) {
    this.#where = { host: address, port };
    this.#host = host;
    this.#handshakes =
      tls &&
      new HostHandshakes(tls, MAX_UNPROVEN, PROOF_MS, {
        onSecure: (socket, mistrust) => this.#admit(socket.unref(), mistrust),
        onFailed: (from, why) => this.#onStranger(from, why),
      });
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

  /** Hosts that watch this one. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** Connections that were closed because nothing was proven on them. */
  get strangers(): number {
    return this.#strangers;
  }

  /** Connections that come from now on are with this certificate. */
  renewTls(credentials: HostCredentials): void {
    this.#handshakes?.renew(credentials);
  }

  /** Takes nobody any more. Links stay until their workers close them. */
  close(): void {
    this.#state = "closed";
    clearTimeout(this.#retry);
    this.#listener.close();
    this.#handshakes?.close();
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
    socket.unref();
    if (this.#handshakes) this.#handshakes.add(socket);
    else this.#admit(socket);
  }

  /** @param mistrust why its certificate is not trusted, if that is so */
  #admit(socket: Socket, mistrust?: string): void {
    const identity = this.#host.identity();
    if (!identity) return void socket.on("error", () => {}).destroy();
    const [oldest] = this.#unproven;
    if (this.#unproven.size >= MAX_UNPROVEN) oldest?.refuse("others came after it");
    const { remoteAddress } = socket;
    const events: HostCallerEvents = {
      onProven: (proven, target) => {
        this.#unproven.delete(caller);
        if (target === WATCH) return this.#addWatcher(proven);
        this.#links++;
        leadTo(this.#host.doorOf(target), proven, () => this.#links--);
      },
      onStranger: (stranger, why) => {
        this.#unproven.delete(stranger);
        this.#onStranger(remoteAddress, why);
      },
    };
    const caller = new HostCaller(socket, identity, events, mistrust);
    this.#unproven.add(caller);
  }

  #onStranger(address: string | undefined, why: string): void {
    this.#strangers++;
    reportFailure("hosts", `${address} was turned away from the host port: ${why}`);
  }
}
