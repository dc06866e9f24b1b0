/**
 * The other hosts as the hub deals with them: who they are, what they want, what they have told, and what this host
 * tells them.
 * Owns: the backplane, the remote hosts, and both sides' interest. Runs in: where the hub is.
 *
 * What comes from other hosts is read in `remote-frames.ts`.
 *
 * Longer than other files: what this host tells and what the others tell are the two sides of one agreement.
 */
import { channels } from "../diagnostics.js";
import { HoldfastError } from "../errors.js";
import type { HostsStats } from "../stats.js";
import { FrameKind, frameKey, frameKeyCount } from "../wire/frame.js";
import { hostnameOf } from "../wire/host-name.js";
import type { NamespaceKeys } from "../wire/room-key.js";
import type {
  Backplane,
  BackplaneEvents,
  BackplaneFactory,
  BackplaneLimits,
  HostChange,
} from "./backplane.js";
import { numbersFrame } from "./host-frames.js";
import { HostInterest } from "./host-interest.js";
import { KnownHosts } from "./known-hosts.js";
import type { HubNamespace } from "./namespaces.js";
import { bucketOf, OwnInterest } from "./own-interest.js";
import { RemoteHost } from "./remote-host.js";

/** So many buckets are told at once. */
const MAX_TOLD = 4_096;
/** Rooms that stand for a namespace, and for its members that report no interest; a real room of that name does no harm. */
const NAMESPACE_ROOM = "\0namespace";
const EVERYTHING_ROOM = "\0everything";

/** What a host says of a namespace. */
export interface NamespaceNews {
  readonly members: number;
  /** How long sessions live and packets are kept, if it has recovery. */
  readonly recovery: readonly [durationMs: number, retainMs: number] | undefined;
}

export interface HostsEvents
  extends Pick<BackplaneEvents, "onFrame" | "onRecord" | "onRecordsLost" | "onPause" | "onSessionLost"> {
  allotId(): number;
  /**
   * This host is one of several from now on.
   * @param seed makes the keys of rooms
   * @param pastUpTo nobody here waits for packets up to this number
   */
  onJoined(epoch: string, seed: string, pastUpTo: number): void;
  onAlone(error: HoldfastError): void;
  /** These ids stand for nobody any more. */
  onGone(host: RemoteHost, ids: readonly number[]): void;
  onNamespace(name: string, news: NamespaceNews | undefined): void;
  onError(error: HoldfastError): void;
}

export class Hosts {
  readonly backplane: Backplane;
  /** The same for everybody else. */
  readonly known: KnownHosts;
  readonly #events: HostsEvents;
  readonly #byName = new Map<string, RemoteHost>();
  readonly #slots: (RemoteHost | undefined)[] = [];
  readonly #wanted = new HostInterest();
  readonly #own = new OwnInterest(() => this.#onNews());
  /** Namespaces of this host that the others have not been told of, as they are now. */
  readonly #untoldNamespaces = new Map<string, NamespaceNews | undefined>();
  readonly #namespaces = new Map<string, NamespaceNews>();
  /** Namespaces of which a member here wants everything. */
  readonly #withWildcards = new Set<string>();
  /** Members of this host that are gone, which others have not been told. */
  #untoldLeft: number[] = [];
  /** What was told and is not in effect yet. */
  #inDoubt = 0;
  #lastClaim = 0;
  #flush: NodeJS.Immediate | undefined;
  /** Reused by `#interested`. */
  readonly #names: string[] = [];
  /** Batches that were lost because this host did not read them in time. */
  #missed = 0;

  constructor(factory: BackplaneFactory, limits: BackplaneLimits, events: HostsEvents) {
    this.#events = events;
    this.backplane = factory.open(limits, {
      onJoined: ({ epoch, seed, secret, pastUpTo, hosts }) => {
        this.#forgetAll();
        for (const { host, buckets, namespaces } of hosts) {
          const remote = this.#add(host);
          this.#wanted.load(remote.slot, buckets);
          for (const [name, value] of namespaces) this.#onNamespace(remote, name, value);
        }
        events.onJoined(epoch, seed, pastUpTo);
        publishState("joined");
        this.#tellAll();
        this.known.onJoined(secret, hosts);
      },
      onBack: () => this.known.onBack(),
      onAlone: (error) => {
        this.#forgetAll();
        events.onAlone(error);
        publishState("alone", error);
        this.known.onAlone();
      },
      onHost: (host) => {
        this.#remove(host);
        this.#add(host);
        publishHost(host, "joined");
        this.known.onHost(host);
      },
      onHostGone: (host, why) => {
        this.#remove(host);
        publishHost(host, why);
        this.known.onGone(host, why);
      },
      onChange: (host, change) => this.#onChange(host, change),
      onFrame: (...frame) => events.onFrame(...frame),
      onRecord: (...record) => events.onRecord(...record),
      onRecordsLost: (from, upTo) => {
        events.onRecordsLost(from, upTo);
        events.onError(
          new HoldfastError(
            "HOLDFAST_ERR_BACKPLANE_SLOW",
            `This host did not read in time what others sent: ${upTo - from + 1} recoverable packets are lost to it, ` +
              "and its clients have to connect again. Look for what blocks the event loop of its primary, or raise " +
              "journalBytes.",
          ),
        );
      },
      onPause: () => events.onPause(),
      onGap: (entries) => {
        this.#missed += entries;
        events.onError(
          new HoldfastError(
            "HOLDFAST_ERR_BACKPLANE_SLOW",
            `This host did not read in time what others sent: ${entries} batches are lost, apart from recoverable ` +
              "packets. Look for what blocks the event loop of its primary, or raise inboxBytes.",
          ),
        );
      },
      onSessionLost: (namespace, privateId) => events.onSessionLost(namespace, privateId),
      onError: (error) => events.onError(error),
    });
    this.known = new KnownHosts(this.backplane.host, {
      returnMs: this.backplane.returnMs,
      publish: (address) => {
        this.backplane.tell({ wants: [], drops: [], namespaces: new Map(), left: [], address });
        return new Promise((resolve) => this.backplane.whenInEffect(resolve));
      },
      suspect: (host) => this.backplane.suspect(host),
    });
  }

  /** Hears what members of this host want. */
  get watcher(): OwnInterest {
    return this.#own;
  }

  get stats(): HostsStats {
    const others = [...this.#byName.values()].map(({ name, namespaces }) => ({
      name,
      hostname: hostnameOf(name),
      members: Math.max(0, ...[...namespaces.values()].map((text) => newsOf(text)?.members ?? 0)),
      namespaces: namespaces.size,
    }));
    return { name: this.backplane.host, others, missed: this.#missed, ...this.backplane.stats };
  }

  get all(): IterableIterator<RemoteHost> {
    return this.#byName.values();
  }

  get(name: string): RemoteHost | undefined {
    return this.#byName.get(name);
  }

  /** The host that has the member with this id, or is it. */
  ofId(id: number): RemoteHost | undefined {
    for (const host of this.#byName.values()) {
      if (host.id === id || host.remoteIdOf(id) !== undefined) return host;
    }
    return undefined;
  }

  /** How many members of other hosts have the namespace. */
  memberCount(name: string): number {
    let count = 0;
    for (const { namespaces } of this.#byName.values()) count += newsOf(namespaces.get(name))?.members ?? 0;
    return count;
  }

  /** The hosts that have the namespace. */
  with(name: string): RemoteHost[] {
    return [...this.#byName.values()].filter(({ namespaces }) => namespaces.has(name));
  }

  /** Whether a host has the namespace. */
  has(name: string): boolean {
    for (const { namespaces } of this.#byName.values()) if (namespaces.has(name)) return true;
    return false;
  }

  /** What other hosts say of the recovery of the namespace. */
  recoveryOf(name: string): NamespaceNews["recovery"] {
    for (const { namespaces } of this.#byName.values()) {
      const recovery = newsOf(namespaces.get(name))?.recovery;
      if (recovery) return recovery;
    }
    return undefined;
  }

  /** Passes on a frame of a member here, to hosts that want it. */
  relay(namespace: HubNamespace, buffer: Buffer, start: number, end: number): void {
    this.#tell();
    this.backplane.send(this.#interested(namespace.keys, buffer, start), namespace.name, buffer, start, end);
  }

  /** The same of a command whose receivers may join rooms: the hosts are taken to have these rooms until it is done. */
  relayClaiming(
    namespace: HubNamespace,
    keys: readonly number[],
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    this.#tell();
    // All hosts, because each of them has to say when it is done.
    const hosts = this.with(namespace.name);
    const names = hosts.map(({ name }) => name);
    const number = ++this.#lastClaim;
    const buckets = keys.map(bucketOf);
    for (const host of hosts) {
      host.claims.set(number, buckets);
      this.#wanted.hold(host.slot, buckets);
    }
    const announcement = numbersFrame(FrameKind.hostClaim, [number]);
    this.backplane.send(names, namespace.name, announcement, 0, announcement.length);
    this.backplane.send(names, namespace.name, buffer, start, end);
  }

  /** The host has carried out a command. */
  onSettled(host: RemoteHost, number: number): void {
    const buckets = host.claims.get(number);
    if (!buckets) return;
    host.claims.delete(number);
    this.#wanted.release(host.slot, buckets);
  }

  /** Passes on a request to these hosts, and to those that this one does not know yet. */
  ask(
    hosts: readonly RemoteHost[],
    namespace: HubNamespace,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    this.#tell();
    this.backplane.send(
      hosts.map(({ name }) => name),
      namespace.name,
      buffer,
      start,
      end,
    );
  }

  sendTo(host: string, namespace: string, frame: Buffer, start = 0, end = frame.length): void {
    this.#tell();
    this.backplane.sendTo(host, namespace, frame, start, end);
  }

  /** A namespace of this host has other members, or other properties, or none any more. */
  onOwnNamespace({ name, keys, members, wildcards, recovery }: HubNamespace): void {
    const before = this.#namespaces.get(name);
    const now = members.size === 0 ? undefined : { members: members.size, recovery };
    if (!before && now) this.#own.add(keys.of(NAMESPACE_ROOM));
    if (before && !now) this.#own.remove(keys.of(NAMESPACE_ROOM));
    this.#noteWildcards(name, keys, wildcards.size > 0);
    if (now) this.#namespaces.set(name, now);
    else this.#namespaces.delete(name);
    if (before?.members === now?.members && before?.recovery === now?.recovery) return;
    this.#untoldNamespaces.set(name, now);
    this.#onNews();
  }

  /** Its keys are about to change: it is told of anew with the next ones. */
  forgetOwnNamespace({ name, keys }: HubNamespace): void {
    if (this.#namespaces.delete(name)) this.#own.remove(keys.of(NAMESPACE_ROOM));
    this.#noteWildcards(name, keys, false);
  }

  /** A member of this host is gone. */
  onOwnLeft(id: number): void {
    this.#untoldLeft.push(id);
    this.#onNews();
  }

  /** Calls back when the others act on all that members here want by now: at once, if they do. */
  whenInEffect(callback: () => void): void {
    this.#tell();
    if (this.#inDoubt === 0) callback();
    else this.backplane.whenInEffect(callback);
  }

  async close(): Promise<void> {
    clearImmediate(this.#flush);
    await this.backplane.close();
    this.known.close();
  }

  #noteWildcards(name: string, keys: NamespaceKeys, has: boolean): void {
    if (this.#withWildcards.has(name) === has) return;
    if (has) {
      this.#withWildcards.add(name);
      this.#own.add(keys.of(EVERYTHING_ROOM));
    } else {
      this.#withWildcards.delete(name);
      this.#own.remove(keys.of(EVERYTHING_ROOM));
    }
  }

  /** Names of the hosts that want the frame. Valid until the next call. */
  #interested(keys: NamespaceKeys, buffer: Buffer, start: number): readonly string[] {
    const names = this.#names;
    names.length = 0;
    const count = frameKeyCount(buffer, start);
    const first = bucketOf(keys.of(count === 0 ? NAMESPACE_ROOM : EVERYTHING_ROOM));
    for (const host of this.#byName.values()) {
      let wants = this.#wanted.has(host.slot, first);
      for (let i = 0; i < count && !wants; i++) {
        wants = this.#wanted.has(host.slot, bucketOf(frameKey(buffer, start, i)));
      }
      if (wants) names.push(host.name);
    }
    return names;
  }

  #onNews(): void {
    // What belongs to one turn of the event loop is told at once.
    this.#flush ??= setImmediate(() => this.#tell());
  }

  /** Tells what has not been told. */
  #tell(): void {
    clearImmediate(this.#flush);
    this.#flush = undefined;
    while (this.#own.hasNews || this.#untoldNamespaces.size > 0 || this.#untoldLeft.length > 0) {
      const { wants, drops } = this.#own.take(MAX_TOLD);
      const namespaces = new Map<string, string | undefined>();
      for (const [name, news] of this.#untoldNamespaces) namespaces.set(name, news && JSON.stringify(news));
      const left = this.#untoldLeft;
      this.#untoldNamespaces.clear();
      this.#untoldLeft = [];
      if (wants.length + drops.length + namespaces.size + left.length === 0) continue;
      this.backplane.tell({ wants, drops, namespaces, left });
      this.#inDoubt++;
      this.backplane.whenInEffect(() => this.#inDoubt--);
    }
  }

  /** The others know nothing of this host. */
  #tellAll(): void {
    this.#own.forgetTold();
    this.#untoldLeft = [];
    for (const [name, news] of this.#namespaces) this.#untoldNamespaces.set(name, news);
    this.#tell();
  }

  #add(name: string): RemoteHost {
    let slot = this.#slots.indexOf(undefined);
    if (slot === -1) slot = this.#slots.length;
    const host = new RemoteHost(name, slot, () => this.#events.allotId());
    this.#slots[slot] = host;
    this.#byName.set(name, host);
    return host;
  }

  #remove(name: string): void {
    const host = this.#byName.get(name);
    if (!host) return;
    this.#byName.delete(name);
    this.#slots[host.slot] = undefined;
    this.#wanted.clear(host.slot);
    this.#events.onGone(host, host.ids());
    for (const namespace of host.namespaces.keys()) this.#events.onNamespace(namespace, undefined);
  }

  #forgetAll(): void {
    for (const name of [...this.#byName.keys()]) this.#remove(name);
  }

  #onChange(name: string, { wants, drops, namespaces, left, address }: HostChange): void {
    const host = this.#byName.get(name);
    if (!host) return;
    for (const bucket of wants) this.#wanted.add(host.slot, bucket);
    for (const bucket of drops) this.#wanted.remove(host.slot, bucket);
    for (const [namespace, value] of namespaces) this.#onNamespace(host, namespace, value);
    const ids = left.map((remoteId) => host.forget(remoteId)).filter((id) => id !== undefined);
    if (ids.length > 0) this.#events.onGone(host, ids);
    if (address !== undefined) this.known.onAddress(name, address);
  }

  #onNamespace(host: RemoteHost, name: string, value: string | undefined): void {
    if (value === undefined) host.namespaces.delete(name);
    else host.namespaces.set(name, value);
    this.#events.onNamespace(name, newsOf(value));
  }
}

function publishState(state: "joined" | "alone", error?: HoldfastError): void {
  if (channels.backplane.hasSubscribers) channels.backplane.publish({ state, error });
}

function publishHost(name: string, state: "joined" | "ended" | "silent"): void {
  if (channels.host.hasSubscribers) channels.host.publish({ name, hostname: hostnameOf(name), state });
}

function newsOf(text: string | undefined): NamespaceNews | undefined {
  if (text === undefined) return undefined;
  try {
    const { members, recovery } = JSON.parse(text) as { members?: unknown; recovery?: unknown };
    if (typeof members !== "number") return undefined;
    const isRecovery = Array.isArray(recovery) && recovery.every((ms) => Number.isInteger(ms) && ms >= 0);
    return { members, recovery: isRecovery ? (recovery as unknown as [number, number]) : undefined };
  } catch {
    return undefined;
  }
}
