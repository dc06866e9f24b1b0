/**
 * The way between hosts: lets others reach the workers of this host, and tells its workers how to reach theirs.
 * Owns: the host port, what is published of it, the watch over the others, what the workers were told.
 * Runs in: primary, one for all routers of the process.
 */
import { EventEmitter } from "node:events";
import { isDeepStrictEqual } from "node:util";
import { reportFailure } from "../diagnostics.js";
import { HoldfastError } from "../errors.js";
import type { HostIdentity } from "../hosts/host-call.js";
import { hostTls } from "../hosts/host-tls.js";
import type { HostDirectory } from "../hosts.js";
import type { HostTlsOptions } from "../options.js";
import { processWide } from "../process-wide.js";
import type { HostWayStats } from "../stats.js";
import { decodeHostAddress, encodeHostAddress } from "../wire/host-address.js";
import { proofKey } from "../wire/host-proof.js";
import type { KnownHost } from "../wire/messages.js";
import type { WorkerDoor } from "./host-link.js";
import { HostPort, type HostPortPlace } from "./host-port.js";
import { HostWatch, type HostWatchEvents } from "./host-watch.js";
import { LivingWorkers } from "./living-workers.js";
import { ownAddress } from "./own-address.js";
import { RendezvousKeeper } from "./rendezvous-keeper.js";
import { resolveHostTls } from "./resolve-host-tls.js";
import type { ResolvedPrimaryOptions } from "./resolve-options.js";
import type { Roster } from "./roster.js";
import { sessionHolders } from "./session-holders.js";

const HOST_OPTIONS = ["hostAddress", "hostBind", "hostPort", "hostTls"] as const;
type HostOptions = Pick<ResolvedPrimaryOptions, (typeof HOST_OPTIONS)[number]>;

/** What lasts is said once in this time. */
const REPEAT_MS = 60_000;

export interface HostWayEvents {
  /**
   * It is known which other hosts there are, and the workers know it; and these were told of this one. Or that cannot be
   * for now.
   */
  known: [];
  /** Something is wrong that the application should hear. */
  trouble: [warning: HoldfastError];
}

const slot = processWide("host way", () => ({ way: undefined as HostWay | undefined, users: 0 }));

export class HostWay extends EventEmitter<HostWayEvents> {
  /**
   * The way of this process; made for its first user, with whose options. Give it back with {@link release}.
   * @throws {HoldfastError} `HOLDFAST_ERR_ALREADY_SET_UP` if there is one between other hosts, or with other options
   */
  static acquire(hosts: HostDirectory, options: HostOptions, roster: Roster): HostWay {
    if (slot.way) slot.way.refuseOthers(hosts, options);
    else slot.way = new HostWay(hosts, options, roster);
    slot.users++;
    return slot.way;
  }

  readonly #hosts: HostDirectory;
  #options: HostOptions;
  readonly #address: string;
  readonly #roster: Roster;
  readonly #keeper = RendezvousKeeper.get();
  readonly #holders = sessionHolders();
  readonly #living = LivingWorkers.get();
  #where: HostPortPlace;
  /** `undefined` until this host has joined others: without them, there is nothing to listen for. */
  #port: HostPort | undefined;
  /** Of the host port, while it is open. */
  #listening: number | undefined;
  /** Settles when the other hosts were told where this one is reached, or cannot be for now. */
  readonly #told: Promise<void>;
  #setTold: () => void = () => {};
  #identity: HostIdentity | undefined;
  #secret: string | undefined;
  #others: readonly KnownHost[] = [];
  /** By the hosts' names. */
  readonly #watches = new Map<string, HostWatch>();
  readonly #saidAt = new Map<string, number>();
  // unknown → known → closed; unknown → closed
  #state: "unknown" | "known" | "closed" = "unknown";

  private constructor(hosts: HostDirectory, options: HostOptions, roster: Roster) {
    super();
    this.setMaxListeners(0);
    this.#hosts = hosts;
    this.#options = options;
    this.#address = options.hostAddress ?? ownAddress();
    this.#roster = roster;
    this.#told = new Promise((resolve) => {
      this.#setTold = resolve;
    });
    this.#where = {
      host: options.hostBind ?? this.#address,
      port: options.hostPort,
      tls: options.hostTls,
    };
    hosts.on("change", this.#onChange);
    roster.on("unreachable", this.#onUnreachable);
    this.#onChange();
    void this.#waitUntilKnown();
  }

  /**
   * There is one host port: what a later router wants of it must be what there is.
   * @throws {HoldfastError} `HOLDFAST_ERR_ALREADY_SET_UP`
   */
  refuseOthers(hosts: HostDirectory, options: HostOptions): void {
    if (hosts !== this.#hosts) {
      throw new HoldfastError(
        "HOLDFAST_ERR_ALREADY_SET_UP",
        'The option "hosts" of setupPrimary() must be the same for all servers of a process: hub.hosts of its one hub.',
      );
    }
    for (const name of HOST_OPTIONS) {
      const wanted = options[name];
      if (!wanted || isDeepStrictEqual(wanted, this.#options[name])) continue;
      throw new HoldfastError(
        "HOLDFAST_ERR_ALREADY_SET_UP",
        `The option "${name}" of setupPrimary() is not what the first router of this process was given, and there is one ` +
          "host port for all of them. Give it to the first one, and to others the same or nothing.",
      );
    }
  }

  /** Whether the workers know which other hosts there are, as far as that can be known. */
  get isKnown(): boolean {
    return this.#state !== "unknown";
  }

  get stats(): HostWayStats {
    const { links = 0, strangers = 0 } = this.#port ?? {};
    const address = this.#listening === undefined ? undefined : addressText(this.#address, this.#listening);
    return { address, others: this.#others.map(({ name }) => name), links, strangers };
  }

  /**
   * Connections that begin from now on are with another certificate, on both sides.
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`, also if there was none before; then nothing has changed
   */
  renewTls(input: HostTlsOptions): void {
    const hostTls = resolveHostTls(input, this.#address);
    if (!this.#options.hostTls || !hostTls) {
      throw new HoldfastError(
        "HOLDFAST_ERR_INVALID_OPTION",
        "renewHostTls() was called where the hosts speak no TLS. Set up the router with hostTls first.",
      );
    }
    this.#options = { ...this.#options, hostTls };
    this.#where = { ...this.#where, tls: hostTls };
    this.#port?.renewTls(hostTls);
    this.#identity = undefined;
    this.#onChange();
  }

  /** Gives the way back; its last user ends it. */
  release(): void {
    if (--slot.users > 0) return;
    slot.way = undefined;
    this.#state = "closed";
    this.#hosts.off("change", this.#onChange);
    this.#roster.off("unreachable", this.#onUnreachable);
    this.#watchNobody();
    if (!this.#port) return;
    void this.#hosts.publish("");
    this.#port.close();
  }

  /** Sessions of this host must be found by the others, and theirs by this one. */
  async #waitUntilKnown(): Promise<void> {
    await this.#hosts.ready();
    if (this.#port) await this.#told;
    if (this.#state !== "unknown") return;
    this.#state = "known";
    this.emit("known");
  }

  readonly #onChange = (): void => {
    const { name, secret, others } = this.#hosts;
    if (secret === undefined) return;
    if (secret !== this.#secret || !this.#identity) {
      const { tls } = this.#where;
      this.#identity = { name, key: proofKey(secret), tls: tls && hostTls(tls) };
      this.#watchNobody();
    }
    this.#secret = secret;
    this.#port ??= this.#openPort();
    this.#others = others.flatMap(({ name: other, address }) => {
      const decoded = decodeHostAddress(address);
      return decoded ? [{ name: other, ...decoded }] : [];
    });
    this.#roster.tellHosts({ name, secret, tls: this.#where.tls, others: this.#others });
    this.#watchOthers(this.#identity);
  };

  /** Sees when the processes of the others end, of those that can be reached. */
  #watchOthers(identity: HostIdentity): void {
    const others = new Map(this.#others.map((other) => [other.name, other]));
    for (const [name, watch] of this.#watches) {
      const other = others.get(name);
      const { host, port, isTls } = watch.host;
      if (other?.host === host && other.port === port && other.isTls === isTls) continue;
      watch.close();
      this.#watches.delete(name);
    }
    for (const [name, other] of others) {
      if (this.#watches.has(name)) continue;
      const events: HostWatchEvents = {
        onSuspect: () => this.#hosts.suspect(name),
        onTrouble: ({ message }) => this.#onUnreachable(message),
      };
      this.#watches.set(name, new HostWatch(identity, other, events));
    }
  }

  #watchNobody(): void {
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
  }

  #openPort(): HostPort {
    return new HostPort(this.#where, {
      identity: () => this.#identity,
      doorOf: (workerId) => this.#doorOf(workerId),
      onListening: (port) => this.#onListening(port),
      onError: (error) => this.#onPortError(error),
    });
  }

  #onListening(port: number): void {
    this.#listening = port;
    const isTls = this.#where.tls !== undefined;
    const address = encodeHostAddress({ tag: this.#roster.tag, host: this.#address, port, isTls });
    void this.#hosts.publish(address).finally(this.#setTold);
  }

  #onPortError(error: NodeJS.ErrnoException): void {
    this.#setTold();
    this.#say(
      "HOLDFAST_ERR_HOST_PORT",
      error.code ?? "",
      `The host port fails, so requests of sessions of this host that reach other hosts fail: ${error.message}. Choose ` +
        "another hostPort, or a hostBind that is an address of this machine.",
    );
  }

  readonly #onUnreachable = (text: string): void => {
    this.#say(
      "HOLDFAST_ERR_HOST_UNREACHABLE",
      text,
      `Requests of sessions of another host fail: ${text}. Let the hosts reach each other's host ports, and look at ` +
        "hostAddress there, and at what that host warns of.",
    );
  };

  #doorOf(workerId: number): WorkerDoor | "gone" | "closed" {
    const owner = this.#holders.of(workerId).find((id) => this.#living.has(id));
    if (owner === undefined) return "gone";
    const door = this.#keeper.doorOf(owner);
    return door ? { ...door, lives: () => this.#living.has(owner) } : "closed";
  }

  #say(code: HoldfastError["code"], detail: string, text: string): void {
    reportFailure("hosts", text);
    const now = performance.now();
    const key = `${code} ${detail}`;
    if (now - (this.#saidAt.get(key) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
    // Names and ports change with each start of a host: what was said long ago is forgotten.
    for (const [each, at] of this.#saidAt) if (now - at >= REPEAT_MS) this.#saidAt.delete(each);
    this.#saidAt.set(key, now);
    this.emit("trouble", new HoldfastError(code, text));
  }
}

function addressText(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
