/**
 * The other hosts as everybody but the hub knows them: who they are, where they are reached, and the secret that all
 * hosts share.
 * Owns: what was last known of them, and the time for which that holds. Runs in: where the hub is.
 *
 * What reaches a host on another way does not end with the backplane, nor with a membership there. So while the backplane
 * is away, what was known stays; and when it is back, it stays until the hosts have had the time to come back, too.
 */
import { HoldfastError } from "../errors.js";
import { ApplicationEvents } from "../faults.js";
import type { HostDirectory, OtherHost } from "../host-directory.js";
import type { HostState } from "./backplane.js";

const MAX_ADDRESS_LENGTH = 512;

export interface KnownHostsWay {
  /** How long after this host other hosts that live come back to the backplane, at most. Milliseconds. */
  readonly returnMs: number;
  /** Settles when it is in effect, or there is nobody to wait for. */
  publish(address: string): Promise<void>;
  suspect(host: string): void;
}

interface KnownHost {
  /** What it has told last: it tells it anew when it has joined anew. */
  readonly address: string;
  /**
   * joined: it is one of the hosts. missing: it was, and has not come back since the backplane was away.
   *
   * joined ⇄ missing
   */
  readonly state: "joined" | "missing";
}

export class KnownHosts extends ApplicationEvents<{ change: [] }> implements HostDirectory {
  readonly name: string;
  readonly #way: KnownHostsWay | undefined;
  readonly #hosts = new Map<string, KnownHost>();
  readonly #ready: Promise<void>;
  #setReady: () => void = () => {};
  #secret: string | undefined;
  /** What this host has published, if it has. */
  #own: string | undefined;
  /** While the hosts come back to the backplane. */
  #returning: NodeJS.Timeout | undefined;

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
    return [...this.#hosts].map(([name, { address }]) => ({ name, address }));
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

  suspect(name: string): void {
    if (this.#hosts.has(name)) this.#way?.suspect(name);
  }

  ready(): Promise<void> {
    return this.#ready;
  }

  /** This host is one of several. */
  onJoined(secret: string, hosts: readonly Pick<HostState, "host" | "address">[]): void {
    const isBack = this.#secret !== undefined;
    this.#secret = secret;
    for (const [name, { address }] of this.#hosts) this.#hosts.set(name, { address, state: "missing" });
    for (const { host, address } of hosts) {
      this.#hosts.set(host, { address: address ?? this.#addressOf(host), state: "joined" });
    }
    // Whoever has joined anew has told nothing yet; what others know of it may be what it has taken back since.
    if (this.#own !== undefined) void this.#way?.publish(this.#own);
    if (isBack) this.onBack();
    this.#setReady();
    this.emit("change");
  }

  /** The backplane was away and is back; others may need longer to find that out. */
  onBack(): void {
    clearTimeout(this.#returning);
    this.#returning = setTimeout(() => this.#onReturned(), this.#way?.returnMs).unref();
  }

  /** The others cannot be reached over the backplane. */
  onAlone(): void {
    this.#stopReturning();
    this.#setReady();
  }

  /** A host has joined, perhaps anew. */
  onHost(host: string): void {
    this.#note(host, this.#addressOf(host));
  }

  onAddress(host: string, address: string): void {
    this.#note(host, address);
  }

  /** @param why `silent`: its lease has ended, as all do while the backplane is away; `ended`: it is gone for certain */
  onGone(host: string, why: "ended" | "silent"): void {
    const known = this.#hosts.get(host);
    if (known && why === "silent" && this.#returning) this.#hosts.set(host, { ...known, state: "missing" });
    else this.#forget(host);
  }

  close(): void {
    this.#stopReturning();
  }

  #addressOf(host: string): string {
    return this.#hosts.get(host)?.address ?? "";
  }

  #note(host: string, address: string): void {
    const before = this.#hosts.get(host);
    this.#hosts.set(host, { address, state: "joined" });
    if (before?.address !== address) this.emit("change");
  }

  #forget(host: string): void {
    if (this.#hosts.delete(host)) this.emit("change");
  }

  #stopReturning(): void {
    clearTimeout(this.#returning);
    this.#returning = undefined;
  }

  /** Whoever is still missing is gone. */
  #onReturned(): void {
    this.#returning = undefined;
    for (const [name, { state }] of this.#hosts) if (state === "missing") this.#forget(name);
  }
}
