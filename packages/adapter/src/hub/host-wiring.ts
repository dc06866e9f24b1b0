/**
 * Joins the hub with those of other hosts: what comes from them goes to the hub's parts, and the order of packets is
 * the one that the hosts share.
 * Owns: what the hub knows of other hosts, and the shared order. Runs in: where the hub is.
 */
import { HoldfastError } from "../errors.js";
import { isBrokenMessage } from "../wire/field-reader.js";
import { frameFields, frameNamespace, PROTOCOL_VERSION } from "../wire/frame.js";
import type { BackplaneFactory } from "./backplane.js";
import { Hosts } from "./hosts.js";
import type { HubMember, MemberLimits } from "./hub-member.js";
import type { HubNamespace, Namespaces } from "./namespaces.js";
import type { OnNumbered } from "./order.js";
import type { Placement } from "./placement.js";
import type { HubRecovery } from "./recovery.js";
import { RemoteFrames } from "./remote-frames.js";
import { SharedOrder } from "./shared-order.js";

/** The hub's parts. They are asked for when something comes, and made after the wiring. */
export interface HubParts {
  namespaces(): Namespaces;
  placement(): Placement;
  recovery(): HubRecovery;
  member(id: number): HubMember | undefined;
  isCongested(member: HubMember): boolean;
  /** The members that the frame's keys lead to. Valid until the next call. */
  collect(buffer: Buffer, start: number): readonly HubMember[];
  allotId(): number;
  tellLeft(id: number): void;
  /** Packets are placed in another order from now on. */
  tellOrder(): void;
  openRecovery(namespace: HubNamespace, durationMs: number, retainMs: number): void;
  forgetIfUnused(namespace: HubNamespace): void;
  endRuns(): void;
  /** Keys are made with this seed from now on. */
  changeSeed(seed: string): void;
  /** It is known which hosts there are. */
  onReady(): void;
  /** The other hosts cannot be reached. */
  onAlone(error: HoldfastError): void;
  onError(error: HoldfastError): void;
}

export class HostWiring {
  readonly hosts: Hosts;
  readonly #hub: HubParts;
  readonly #remoteFrames: RemoteFrames;
  #order: SharedOrder<HubMember> | undefined;

  /** @param seed makes keys of rooms, unless the hosts have another one */
  constructor(factory: BackplaneFactory, limits: MemberLimits, seed: string, hub: HubParts) {
    this.#hub = hub;
    this.hosts = this.#openHosts(factory, limits, seed);
    this.#remoteFrames = new RemoteFrames(this.hosts, {
      collect: (buffer, start) => hub.collect(buffer, start),
      member: (id) => hub.member(id),
      isCongested: (member) => hub.isCongested(member),
      onFence: (name, namespace, privateId, onReleased) =>
        hub.recovery().handOver(name, namespace?.id, privateId, onReleased),
      onReleased: (number) => hub.recovery().onReleased(number),
    });
  }

  openOrder(onNumbered: OnNumbered<HubMember>): SharedOrder<HubMember> {
    this.#order = new SharedOrder(onNumbered, {
      record: (buffer, start, end) => {
        const namespace = this.#hub.namespaces().get(frameNamespace(buffer, start));
        this.hosts.backplane.record(namespace?.name ?? "", buffer, start, end);
      },
      onEpoch: (epoch, pastUpTo) => {
        this.#hub.placement().restart(epoch, pastUpTo);
        this.#hub.tellOrder();
      },
    });
    return this.#order;
  }

  /** A member's response to a request that came from another host. */
  respond(askerId: number, buffer: Buffer, start: number, end: number): void {
    const host = this.hosts.ofId(askerId);
    const remoteId = host?.remoteIdOf(askerId);
    const namespace = this.#hub.namespaces().get(frameNamespace(buffer, start));
    if (!host || remoteId === undefined || !namespace) return;
    buffer.writeUInt32LE(remoteId, frameFields(buffer, start));
    this.hosts.sendTo(host.name, namespace.name, buffer, start, end);
  }

  #openHosts(
    factory: BackplaneFactory,
    { maxMessageBytes, maxBacklogBytes }: MemberLimits,
    seed: string,
  ): Hosts {
    const hub = this.#hub;
    return new Hosts(
      factory,
      { protocol: PROTOCOL_VERSION, maxMessageBytes, maxBacklogBytes, seed },
      {
        allotId: () => hub.allotId(),
        onJoined: (epoch, seed, pastUpTo) => {
          this.#useSeed(seed);
          const wasApart = this.#order?.share(epoch, pastUpTo) === true;
          hub.recovery().onJoined(wasApart);
          hub.onReady();
        },
        onAlone: (error) => {
          this.#order?.goAlone();
          hub.onAlone(error);
        },
        onGone: (host, ids) => {
          for (const id of ids) hub.tellLeft(id);
          if (ids.includes(host.id)) this.#remoteFrames.forget(host);
          hub.recovery().onHostGone(host.name);
        },
        onNamespace: (name, news) => {
          const namespace = hub.namespaces().find(name);
          if (!namespace) return;
          if (news?.recovery) hub.openRecovery(namespace, ...news.recovery);
          else if (!news) hub.forgetIfUnused(namespace);
        },
        onFrame: (hostName, name, buffer, start, end) => {
          const host = this.hosts.get(hostName);
          if (!host) return;
          this.#fromHost(() => {
            this.#remoteFrames.onFrame(host, name, hub.namespaces().find(name), buffer, start, end);
          });
        },
        onRecord: (hostName, name, sequence, isPast, buffer, start, end) => {
          if (hostName === this.hosts.backplane.host && !isPast) return void this.#order?.numbered(sequence);
          this.#fromHost(() => {
            const namespace = this.#namespaceForRecord(name);
            const host = this.hosts.get(hostName);
            this.#remoteFrames.translateRecord(host, namespace, buffer, start, end);
            hub.placement().placeRemote(buffer, start, end, sequence, isPast);
          });
        },
        onRecordsLost: (_, upTo) => {
          hub.recovery().onPacketsLost();
          hub.placement().skipTo(upTo);
        },
        onPause: () => hub.endRuns(),
        onSessionLost: (name, privateId) => hub.recovery().onLost(hub.namespaces().find(name)?.id, privateId),
        onError: (error) => hub.onError(error),
      },
    );
  }

  #fromHost(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!isBrokenMessage(error)) throw error;
      this.#hub.onError(new HoldfastError(error.code, `From another host: ${error.message}`));
    }
  }

  /** Packets are kept for clients who may come here, whether or not a member here has the namespace. */
  #namespaceForRecord(name: string): HubNamespace {
    const namespace = this.#hub.namespaces().ofName(name);
    const isKnown = this.#hub.recovery().has(namespace.id);
    const recovery = isKnown ? undefined : this.hosts.recoveryOf(name);
    if (recovery) this.#hub.openRecovery(namespace, ...recovery);
    return namespace;
  }

  /** The hosts share one seed. */
  #useSeed(seed: string): void {
    if (seed === this.#hub.namespaces().roomSeed) return;
    this.#hub.changeSeed(seed);
    this.#order?.voidKeys();
    this.hosts.backplane.voidKeys();
  }
}
