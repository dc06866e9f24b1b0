/**
 * The other hosts as everybody but the hub knows them: who they are, where they are reached, and the secret that all
 * hosts share.
 * Owns: what was last known of them. Runs in: where the hub is.
 *
 * While the backplane is away, what was known stays: who is reached on another way may still be there.
 */
import { EventEmitter } from "node:events";
import { HoldfastError } from "../errors.js";
import type { HostDirectory, OtherHost } from "../host-directory.js";

const MAX_ADDRESS_LENGTH = 512;

export interface KnownHostsWay {
  /** Settles when it is in effect, or there is nobody to wait for. */
  publish(address: string): Promise<void>;
  evict(host: string): void;
}

export class KnownHosts extends EventEmitter<{ change: [] }> implements HostDirectory {
  readonly name: string;
  readonly #way: KnownHostsWay | undefined;
  readonly #addresses = new Map<string, string>();
  readonly #ready: Promise<void>;
  #setReady: () => void = () => {};
  #secret: string | undefined;
  /** What this host has published. */
  #own = "";

  /** @param way to the other hosts; without it there are none */
  constructor(name: string, way?: KnownHostsWay) {
    super();
    this.setMaxListeners(0);
    this.name = name;
    this.#way = way;
    this.#ready = new Promise((resolve) => {
      this.#setReady = resolve;
    });
    if (!way) this.#setReady();
  }

  get secret(): string | undefined {
    return this.#secret;
  }

  get others(): readonly OtherHost[] {
    return [...this.#addresses].map(([name, address]) => ({ name, address }));
  }

  async publish(address: string): Promise<void> {
    if (typeof address !== "string" || address.length > MAX_ADDRESS_LENGTH) {
      throw new HoldfastError(
        "HOLDFAST_ERR_INVALID_OPTION",
        `publish() of hub.hosts takes a text of at most ${MAX_ADDRESS_LENGTH} characters.`,
      );
    }
    this.#own = address;
    await this.#way?.publish(address);
  }

  gone(name: string): void {
    if (this.#addresses.has(name)) this.#way?.evict(name);
  }

  ready(): Promise<void> {
    return this.#ready;
  }

  /** This host is one of several. */
  onJoined(secret: string, hosts: readonly { readonly host: string; readonly address: string }[]): void {
    this.#secret = secret;
    this.#addresses.clear();
    for (const { host, address } of hosts) this.#addresses.set(host, address);
    // Whoever has joined anew has told nothing yet.
    if (this.#own !== "") void this.#way?.publish(this.#own);
    this.#setReady();
    this.emit("change");
  }

  /** The others cannot be reached over the backplane. */
  onAlone(): void {
    this.#setReady();
  }

  onAddress(host: string, address: string): void {
    if (this.#addresses.get(host) === address) return;
    this.#addresses.set(host, address);
    this.emit("change");
  }

  onGone(host: string): void {
    if (this.#addresses.delete(host)) this.emit("change");
  }
}
