/**
 * The hub: knows the members, routes frames between them.
 * Owns: the members and their links. Runs in: where the hub is.
 * Knows nothing of `node:cluster`; whoever admits a member brings its link.
 *
 * Longer than other files: the switch and what a frame passes behind it are the hot path, and stay in one place.
 */
import { randomUUID } from "node:crypto";
import { channels } from "../diagnostics.js";
import { HoldfastError } from "../errors.js";
import type { MemberInfo } from "../member-info.js";
import type { HostsStats, HubStats, HubTotals, LateJoinStats, RecoveryStats } from "../stats.js";
import { brokenMessage, isBrokenMessage } from "../wire/field-reader.js";
import {
  BroadcastFlag,
  FrameKind,
  frameFields,
  frameFlags,
  frameKey,
  frameKeyCount,
  frameKind,
  frameNamespace,
  frameTime,
  interestEntry,
  isInterestOf,
  isLastOfReport,
  KEY_BYTES,
  OpenedFlag,
  OpenFlag,
  ResponseFlag,
  VOLATILE_SHARE,
  voidKeys,
} from "../wire/frame.js";
import type { Welcome } from "../wire/handshake.js";
import { drawSeed } from "../wire/room-key.js";
import { packValue } from "../wire/values.js";
import type { BackplaneFactory } from "./backplane.js";
import { FlowControl, type FlowLimits } from "./flow-control.js";
import { checkPlace, claimsOf, fieldsOf, interestEntries, isForServers, requestOf } from "./frame-fields.js";
import { HostWiring, type HubParts } from "./host-wiring.js";
import type { Hosts } from "./hosts.js";
import { HubMember, type MakeLink, type MemberLimits } from "./hub-member.js";
import { statsOf } from "./hub-stats.js";
import { Totals } from "./hub-totals.js";
import { Slots, slotOf } from "./interest.js";
import { KnownHosts } from "./known-hosts.js";
import { LateJoins } from "./late-joins.js";
import { type HubNamespace, Namespaces } from "./namespaces.js";
import { HubOrder, type MakeOrder } from "./order.js";
import { OwnProcess } from "./own-process.js";
import { Placement } from "./placement.js";
import { HubRecovery } from "./recovery.js";
import type { RemoteHost } from "./remote-host.js";
import { changeSeed } from "./seed-change.js";

export interface HubLimits extends MemberLimits, FlowLimits {
  readonly journalBytes: number;
}

/** What the hub tells its owner. */
export interface HubEvents {
  onJoin(member: MemberInfo): void;
  onLeave(member: MemberInfo): void;
  onStalled(member: MemberInfo, backlogBytes: number): void;
  onJournalFull(): void;
  onError(error: HoldfastError): void;
}

export interface HubOptions {
  /** Joins this hub with those of other hosts. */
  readonly backplane?: BackplaneFactory | undefined;
  /** Whether members are admitted when the other hosts cannot be reached at the start. @default true */
  readonly startsAlone?: boolean;
  /** Names this hub among others. @default drawn at random */
  readonly host?: string;
  /** Who numbers recoverable packets. @default the hub itself */
  readonly makeOrder?: MakeOrder<HubMember>;
}

export class Hub {
  readonly host: string;
  /** Names what joins it with those of other hosts; "" if nothing does. */
  readonly backplane: string;
  /** The other hosts, for those who reach them on ways of their own. */
  readonly knownHosts: KnownHosts;
  readonly #limits: HubLimits;
  readonly #events: HubEvents;
  readonly #members = new Map<number, HubMember>();
  readonly #bySlot: (HubMember | undefined)[] = [];
  readonly #startsAlone: boolean;
  readonly #wiring: HostWiring | undefined;
  readonly #hosts: Hosts | undefined;
  readonly #namespaces: Namespaces;
  readonly #slots = new Slots();
  readonly #lateJoins = new LateJoins((...frame) => this.#sendOn(...frame));
  readonly #flow: FlowControl;
  readonly #placement: Placement;
  readonly #recovery: HubRecovery;
  readonly #totals = new Totals();
  /** Watched as soon as somebody asks. */
  #ownProcess: OwnProcess | undefined;
  /** Reused by `#collect`. */
  readonly #targets: HubMember[] = [];
  /** Up to which of its frames a member's interest has been read since the last time that runs ended. */
  #toSync = new Map<HubMember, number>();
  #lastMember = 0;
  // starting ↔ ready; any state → closed: without other hosts it is ready at once
  #state: "starting" | "ready" | "closed" = "ready";
  readonly #waiting = new Set<() => void>();

  constructor(limits: HubLimits, events: HubEvents, options: HubOptions = {}) {
    this.#limits = limits;
    this.#events = events;
    this.backplane = options.backplane?.name ?? "";
    this.#startsAlone = options.startsAlone ?? true;
    const seed = drawSeed();
    this.#wiring = options.backplane && new HostWiring(options.backplane, limits, seed, this.#parts());
    this.#hosts = this.#wiring?.hosts;
    this.host = this.#hosts?.backplane.host ?? options.host ?? randomUUID();
    this.knownHosts = this.#hosts?.known ?? new KnownHosts(this.host);
    this.#namespaces = new Namespaces(seed, this.#hosts?.watcher);
    this.#flow = new FlowControl(limits, (member) => this.#cutOff(member));
    const makeOrder: MakeOrder<HubMember> = (onNumbered) =>
      this.#wiring?.openOrder(onNumbered) ?? options.makeOrder?.(onNumbered) ?? new HubOrder(onNumbered);
    this.#placement = new Placement(limits.journalBytes, makeOrder, {
      collect: (buffer, start) => this.#collect(undefined, buffer, start),
      onPlaced: (from, { buffer, start, end }, targets) => {
        const others = targets.includes(from) ? targets.filter((target) => target !== from) : targets;
        this.#lateJoins.onFrame(from, buffer, start, end, others);
        // It may have waited for its number: what follows in the journal is of another time.
        this.#lateJoins.onChunkEnd();
      },
      resume: (from, frame) => {
        // What a member that is gone has sent to others still goes on; but a session is no use to it.
        if (from.isMember || frameKind(frame, 0) !== FrameKind.restore)
          this.#handle(from, frame, 0, frame.length);
      },
      onJournalFull: () => this.#onJournalFull(),
    });
    this.#recovery = new HubRecovery(
      limits,
      this.#placement.journal,
      {
        onIdle: (namespaceId) => {
          const namespace = this.#namespaces.get(namespaceId);
          if (namespace) this.#forgetIfUnused(namespace);
        },
        memberOf: (namespaceId, workerId) => this.#memberOf(namespaceId, workerId),
      },
      this.#hosts && { hosts: this.#hosts, nameOf: (namespaceId) => this.#namespaces.get(namespaceId)?.name },
    );
    if (this.#hosts) this.#state = "starting";
  }

  #parts(): HubParts {
    return {
      namespaces: () => this.#namespaces,
      placement: () => this.#placement,
      recovery: () => this.#recovery,
      member: (id) => this.#members.get(id),
      isCongested: (member) => this.#isCongested(member),
      collect: (buffer, start) => this.#collect(undefined, buffer, start),
      allotId: () => ++this.#lastMember,
      tellLeft: (id) => this.#tellLeft(id),
      tellOrder: () => this.#tellOrder(),
      openRecovery: (...recovery) => this.#openRecovery(...recovery),
      forgetIfUnused: (namespace) => this.#forgetIfUnused(namespace),
      endRuns: () => this.#endRuns(),
      changeSeed: (seed) => this.#changeSeed(seed),
      onReady: () => this.#onReady(),
      onAlone: (error) => {
        this.#events.onError(error);
        if (this.#startsAlone) this.#onReady();
      },
      onError: (error) => this.#events.onError(error),
    };
  }

  /**
   * Calls back as soon as members can be admitted, at once if they can: when it is known which hosts there are, or that
   * they cannot be reached. Never, if it is closed before.
   * @returns ends the wait
   */
  whenReady(callback: () => void): () => void {
    if (this.#state === "ready") callback();
    else this.#waiting.add(callback);
    return () => void this.#waiting.delete(callback);
  }

  /** Calls back when other hosts have what was sent to them, or never will. */
  whenSent(callback: () => void): void {
    if (this.#hosts) this.#hosts.backplane.whenInEffect(callback);
    else callback();
  }

  /** What the keys of rooms are made with: for members, and nobody else. */
  get roomSeed(): string {
    return this.#namespaces.roomSeed;
  }

  /** What each member is told when it is admitted. */
  get welcome(): MemberLimits & Pick<Welcome, "roomSeed" | "backplane" | "hub"> {
    const { maxMessageBytes, maxBacklogBytes } = this.#limits;
    return {
      maxMessageBytes,
      maxBacklogBytes,
      roomSeed: this.roomSeed,
      backplane: this.backplane,
      hub: this.host,
    };
  }

  get members(): IterableIterator<HubMember> {
    return this.#members.values();
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  has(member: HubMember): boolean {
    return this.#members.get(member.id) === member;
  }

  get namespaceCount(): number {
    return this.#namespaces.size;
  }

  get interestSize(): number {
    return this.#namespaces.interestSize;
  }

  /** How many rooms the member has told of. */
  roomsOf({ slot }: HubMember): number {
    return this.#namespaces.roomsOf(slot);
  }

  get lateJoins(): LateJoinStats {
    const { sentOn, tooLate } = this.#lateJoins;
    return { sentOn, tooLate };
  }

  get totals(): HubTotals {
    return this.#totals.stats(this.#members.values());
  }

  get recoveryStats(): RecoveryStats {
    return this.#recovery.stats;
  }

  /** Of the other hosts; `undefined` without a backplane. */
  get hostsStats(): HostsStats | undefined {
    return this.#hosts?.stats;
  }

  /** Takes in a worker that asked to join. */
  admit(worker: { readonly workerId: number; readonly pid: number }, makeLink: MakeLink): HubMember {
    const slot = this.#slots.allot();
    const identity = { ...worker, host: this.host };
    const member = new HubMember(++this.#lastMember, identity, slot, makeLink, this.#limits, this.#flow, {
      onFrame: (from, buffer, start, end) => this.#onFrame(from, buffer, start, end),
      onChunkEnd: () => this.#endRuns(),
      onEnd: (gone) => this.remove(gone),
      onBroken: (broken, cause) => this.#onBroken(broken, cause),
    });
    this.#members.set(member.id, member);
    this.#bySlot[slot] = member;
    this.#lateJoins.onJoin(this.#slots.bankCount);
    this.#totals.joined++;
    if (channels.join.hasSubscribers) channels.join.publish({ member: member.info, link: member.link.kind });
    this.#events.onJoin(member.info);
    return member;
  }

  /** The member's process is gone, or it left. Waiting requests everywhere are told at once. */
  remove(member: HubMember): void {
    if (!this.#members.delete(member.id)) return;
    this.#bySlot[member.slot] = undefined;
    if (!member.isEmitter) this.#lateJoins.onLeave();
    member.close();
    this.#flow.forget(member);
    this.#recovery.release(member);
    for (const namespace of this.#namespaces.all()) this.#leaveNamespace(member, namespace);
    this.#slots.release(member.slot);
    this.#tellLeft(member.id);
    this.#hosts?.onOwnLeft(member.id);
    this.#totals.onLeave(member);
    if (channels.leave.hasSubscribers) channels.leave.publish({ member: member.info });
    this.#events.onLeave(member.info);
  }

  /**
   * Says goodbye on every link, behind what waits there, and releases them.
   * @returns settles when other hosts know it, too
   */
  async close(): Promise<void> {
    this.#state = "closed";
    this.#waiting.clear();
    for (const member of this.#members.values()) member.dismiss();
    this.#members.clear();
    this.#flow.close();
    this.#placement.close();
    this.#recovery.close();
    this.#lateJoins.close();
    this.#ownProcess?.close();
    await this.#hosts?.close();
  }

  #tellLeft(id: number): void {
    for (const { outbox } of this.#members.values()) {
      outbox.begin(FrameKind.left, 0, 0);
      outbox.u32(id);
      outbox.end();
    }
  }

  #tellOrder(): void {
    for (const { outbox } of this.#members.values()) {
      outbox.begin(FrameKind.order, 0, 0);
      outbox.latin1(this.#placement.journal.lastOffset);
      outbox.end();
    }
  }

  #onFrame(from: HubMember, buffer: Buffer, start: number, end: number): void {
    const isHeld = from.placed < from.records && isBehindPackets(frameKind(buffer, start));
    if (isHeld) this.#placement.hold(from, buffer, start, end);
    else this.#handle(from, buffer, start, end);
  }

  #handle(from: HubMember, buffer: Buffer, start: number, end: number): void {
    try {
      if (frameFields(buffer, start) > end) throw brokenMessage("it ends within its keys");
      if (from.isBehindSeed && hasKeys(frameKind(buffer, start))) voidKeys(buffer, start);
      this.#route(from, buffer, start, end);
    } catch (error) {
      if (!isBrokenMessage(error)) throw error;
      this.#events.onError(
        new HoldfastError(error.code, `From worker ${from.workerId} (pid ${from.pid}): ${error.message}`),
      );
    }
  }

  #route(from: HubMember, buffer: Buffer, start: number, end: number): void {
    switch (frameKind(buffer, start)) {
      case FrameKind.broadcast:
        return this.#onBroadcast(from, buffer, start, end);
      case FrameKind.record:
        checkPlace(buffer, start, end);
        return this.#placement.place(from, buffer, start, end);
      case FrameKind.command:
        return this.#onCommand(from, buffer, start, end);
      case FrameKind.request:
        return this.#onRequest(from, buffer, start, end);
      case FrameKind.response:
        return this.#onResponse(from, buffer, start, end);
      case FrameKind.interest:
        return this.#onInterest(from, buffer, start, end);
      case FrameKind.settled:
        return from.settleClaim();
      case FrameKind.open:
        return this.#onOpen(from, buffer, start, end);
      case FrameKind.close:
        return this.#onClose(from, buffer, start);
      case FrameKind.count:
        return this.#onCount(from, buffer, start, end);
      case FrameKind.observe:
        return this.#onObserve(from, buffer, start, end);
      case FrameKind.alive:
        // That it came is all that it says.
        return;
      case FrameKind.reseeded:
        from.seedsHeard = fieldsOf(buffer, start, end).u32();
        return;
      case FrameKind.ping:
        from.outbox.begin(FrameKind.pong, 0, 0);
        return from.outbox.end();
      case FrameKind.leave:
        if (fieldsOf(buffer, start, end).u32() === from.id) this.remove(from);
        return;
      case FrameKind.sessionForward:
      case FrameKind.sessionLost:
        // A session moves within its host.
        return this.#relayHere(from, buffer, start, end);
      case FrameKind.sessionAck:
        return this.#members.get(fieldsOf(buffer, start, end).u32())?.relay(from, buffer, start, end);
      default:
        return this.#recovery.onFrame(from, buffer, start, end);
    }
  }

  #endRuns(): void {
    this.#recovery.keepChanged();
    this.#syncWhenInEffect();
    this.#lateJoins.onChunkEnd();
    for (const { outbox } of this.#members.values()) outbox.endRun();
  }

  /** The worker's member, if it has the namespace. */
  #memberOf(namespaceId: number, workerId: number): HubMember | undefined {
    for (const member of this.#namespaces.get(namespaceId)?.members ?? []) {
      if (member.workerId === workerId) return member;
    }
    return undefined;
  }

  #onBroadcast(from: HubMember, buffer: Buffer, start: number, end: number): void {
    if (this.#isToReturn(from, buffer, start, end)) this.#return(from, buffer, start, end);
    const targets = this.#collect(from, buffer, start);
    const isVolatile = (frameFlags(buffer, start) & BroadcastFlag.volatile) !== 0;
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i] as HubMember;
      if (isVolatile && this.#isCongested(target)) target.dropped++;
      else target.deliver(from, buffer, start, end);
    }
    this.#lateJoins.onFrame(from, buffer, start, end, targets);
    if (this.#hosts) this.#relayToHosts(this.#hosts, buffer, start, end);
  }

  /** Whether a frame of a member may be for sessions that are its own, and of which it had not heard. */
  #isToReturn(from: HubMember, buffer: Buffer, start: number, end: number): boolean {
    if (!from.hasUnheard(frameNamespace(buffer, start)) || isForServers(buffer, start, end)) return false;
    return this.#collect(undefined, buffer, start).includes(from);
  }

  #return(from: HubMember, buffer: Buffer, start: number, end: number): void {
    from.outbox.begin(FrameKind.returned, 0, frameNamespace(buffer, start));
    from.outbox.end();
    from.relay(from, buffer, start, end);
  }

  #relayHere(from: HubMember, buffer: Buffer, start: number, end: number): void {
    const targets = this.#collect(from, buffer, start);
    for (let i = 0; i < targets.length; i++) (targets[i] as HubMember).relay(from, buffer, start, end);
    this.#lateJoins.onFrame(from, buffer, start, end, targets);
  }

  #relayToHosts(
    hosts: Hosts,
    buffer: Buffer,
    start: number,
    end: number,
    claims: readonly number[] = [],
  ): void {
    const namespace = this.#namespaces.get(frameNamespace(buffer, start));
    if (!namespace) return;
    if (claims.length > 0) hosts.relayClaiming(namespace, claims, buffer, start, end);
    else hosts.relay(namespace, buffer, start, end);
  }

  #onCommand(from: HubMember, buffer: Buffer, start: number, end: number): void {
    const { keys } = this.#namespaces.get(frameNamespace(buffer, start)) ?? {};
    const claims = claimsOf(keys, buffer, start, end);
    if (this.#isToReturn(from, buffer, start, end)) {
      if (claims.length > 0) from.claim(frameNamespace(buffer, start), claims);
      this.#return(from, buffer, start, end);
    }
    const targets = this.#collect(from, buffer, start);
    for (const target of targets) {
      if (claims.length > 0) target.claim(frameNamespace(buffer, start), claims);
      target.relay(from, buffer, start, end);
    }
    this.#lateJoins.onFrame(from, buffer, start, end, targets);
    if (this.#hosts) this.#relayToHosts(this.#hosts, buffer, start, end, claims);
  }

  #onRequest(from: HubMember, buffer: Buffer, start: number, end: number): void {
    const isToReturn = this.#isToReturn(from, buffer, start, end);
    const targets = this.#collect(isToReturn ? undefined : from, buffer, start);
    const namespace = this.#namespaces.get(frameNamespace(buffer, start));
    const hosts = namespace && this.#hosts ? this.#hosts.with(namespace.name) : [];
    this.#ask(from, buffer, start, end, targets, hosts);
    this.#lateJoins.onFrame(from, buffer, start, end, targets);
    if (namespace) this.#hosts?.ask(hosts, namespace, buffer, start, end);
  }

  /** @param hosts stand for their members until they have said who these are */
  #ask(
    from: HubMember,
    buffer: Buffer,
    start: number,
    end: number,
    targets: readonly HubMember[],
    hosts: readonly RemoteHost[] = [],
  ): void {
    const request = requestOf(buffer, start, end);
    from.outbox.begin(FrameKind.asked, 0, frameNamespace(buffer, start));
    from.outbox.u32(request);
    for (const { id, workerId, pid } of [...targets, ...hosts]) {
      from.outbox.u32(id);
      from.outbox.u32(workerId);
      from.outbox.u32(pid);
    }
    from.outbox.end();
    for (const target of targets) {
      target.unanswered++;
      if (target === from) this.#return(from, buffer, start, end);
      else target.relay(from, buffer, start, end);
    }
  }

  #onResponse(from: HubMember, buffer: Buffer, start: number, end: number): void {
    const askerId = fieldsOf(buffer, start, end).u32();
    const asker = this.#members.get(askerId);
    // Whatever a member says twice: the count is of those who wait for it.
    if ((frameFlags(buffer, start) & ResponseFlag.final) !== 0 && from.unanswered > 0) from.unanswered--;
    if (asker) asker.relay(from, buffer, start, end);
    else this.#wiring?.respond(askerId, buffer, start, end);
  }

  #onInterest(from: HubMember, buffer: Buffer, start: number, end: number): void {
    const entries = interestEntries(buffer, start, end);
    const fields = frameFields(buffer, start);
    const since = frameTime(buffer, fields + 4);
    const namespace = this.#namespaces.get(frameNamespace(buffer, start));
    if (namespace?.members.has(from)) {
      const flags = frameFlags(buffer, start);
      const isCurrent = isInterestOf(from.seedsTold, flags);
      if (isCurrent) this.#takeReport(from, namespace, buffer, entries, end, since);
      if (since !== 0) this.#lateJoins.onReported(from, namespace.id, from.takeNewKeys(), since);
      if (isCurrent && isLastOfReport(flags)) this.#onReportComplete(from, namespace);
    }
    const sequence = buffer.readUInt32LE(fields);
    if (sequence === 0) return;
    // A session's rooms come behind the interest in them.
    if (this.#hosts) this.#toSync.set(from, sequence);
    else from.sync(sequence);
  }

  /** Members wait for the hub's word on interest that has been read. */
  #syncWhenInEffect(): void {
    if (this.#toSync.size === 0) return;
    const toSync = this.#toSync;
    this.#toSync = new Map();
    this.#recovery.whenInEffect(() => {
      for (const [member, sequence] of toSync) member.sync(sequence);
    });
  }

  #takeReport(
    from: HubMember,
    { interest }: HubNamespace,
    buffer: Buffer,
    entries: number,
    end: number,
    since: number,
  ): void {
    const reports = interest.reportsOf(from.slot);
    const isWatched = this.#lateJoins.isWatched(since);
    for (let at = entries; at < end; at += KEY_BYTES) {
      const entry = interestEntry(buffer, at);
      if ((entry & 1) === 0) reports.remove(entry >>> 1);
      else if (reports.add(entry >>> 1) && isWatched) from.addNewKey(entry >>> 1);
    }
  }

  #onReportComplete(from: HubMember, namespace: HubNamespace): void {
    // The hub has known of these rooms, by other keys: nothing came too early for them.
    from.takeNewKeys();
    if (!from.unreported.delete(namespace.id)) return;
    namespace.wildcards.delete(from);
    this.#onNamespaceChange(namespace);
  }

  #onOpen(from: HubMember, buffer: Buffer, start: number, end: number): void {
    const fields = fieldsOf(buffer, start, end);
    const flags = frameFlags(buffer, start);
    const [token, since] = [fields.u32(), fields.u64()];
    const recovery = (flags & OpenFlag.recovery) === 0 ? undefined : ([fields.u32(), fields.u32()] as const);
    const namespace = this.#namespaces.ofName(fields.rest().toString("utf16le"));
    if ((flags & OpenFlag.emitter) !== 0) {
      namespace.emitters.add(from);
      if (!from.isEmitter) this.#lateJoins.onLeave();
      from.isEmitter = true;
    } else {
      namespace.members.add(from);
      from.enter(namespace.id, namespace.interest);
      if ((flags & OpenFlag.everything) !== 0) namespace.wildcards.add(from);
    }
    if (recovery) this.#openRecovery(namespace, ...recovery);
    const elsewhere = this.#hosts?.recoveryOf(namespace.name);
    if (elsewhere) this.#openRecovery(namespace, ...elsewhere);
    this.#onNamespaceChange(namespace);
    const isRecoverable = this.#recovery.has(namespace.id);
    from.outbox.begin(FrameKind.opened, isRecoverable ? OpenedFlag.recoverable : 0, namespace.id);
    from.outbox.u32(token);
    from.outbox.latin1(this.#placement.journal.lastOffset);
    from.outbox.end();
    if (from.isEmitter) return;
    this.#lateJoins.onOpened(from, namespace.id, namespace.wildcards.has(from), since);
  }

  #openRecovery(namespace: HubNamespace, durationMs: number, retainMs: number): void {
    const isNew = !this.#recovery.has(namespace.id);
    this.#recovery.openNamespace(namespace.id, namespace.keys, durationMs, retainMs);
    namespace.recovery = [durationMs, retainMs];
    if (!isNew) return;
    for (const { outbox } of namespace.emitters) {
      outbox.begin(FrameKind.recoverable, 0, namespace.id);
      outbox.end();
    }
  }

  #onCount(from: HubMember, buffer: Buffer, start: number, end: number): void {
    const namespaceId = frameNamespace(buffer, start);
    const request = fieldsOf(buffer, start, end).u32();
    from.outbox.begin(FrameKind.counted, 0, namespaceId);
    from.outbox.u32(request);
    const namespace = this.#namespaces.get(namespaceId);
    from.outbox.u32(
      (namespace?.members.size ?? 0) +
        (namespace && this.#hosts ? this.#hosts.memberCount(namespace.name) : 0),
    );
    from.outbox.end();
  }

  #onObserve(from: HubMember, buffer: Buffer, start: number, end: number): void {
    const request = fieldsOf(buffer, start, end).u32();
    this.#ownProcess ??= new OwnProcess();
    const value = packValue({ ...statsOf(this), process: this.#ownProcess.stats } satisfies HubStats);
    const { outbox } = from;
    outbox.begin(FrameKind.observed, 0, 0);
    outbox.u32(request);
    if (outbox.builtBytes + value.length <= this.#limits.maxMessageBytes) outbox.raw(value);
    outbox.end();
  }

  #onClose(from: HubMember, buffer: Buffer, start: number): void {
    const namespace = this.#namespaces.get(frameNamespace(buffer, start));
    if (namespace) this.#leaveNamespace(from, namespace);
  }

  #leaveNamespace(member: HubMember, namespace: HubNamespace): void {
    namespace.members.delete(member);
    namespace.emitters.delete(member);
    namespace.wildcards.delete(member);
    this.#recovery.release(member, namespace.id);
    member.exit(namespace.id);
    namespace.interest.removeAll(member.slot);
    this.#onNamespaceChange(namespace);
    this.#forgetIfUnused(namespace);
  }

  #onNamespaceChange(namespace: HubNamespace): void {
    this.#hosts?.onOwnNamespace(namespace);
  }

  #forgetIfUnused(namespace: HubNamespace): void {
    if (namespace.members.size > 0 || namespace.emitters.size > 0) return;
    if (this.#recovery.keeps(namespace.id)) return;
    // Its packets are in the journal, for clients who may come here.
    if (this.#recovery.has(namespace.id) && this.#hosts?.has(namespace.name)) return;
    this.#recovery.forgetNamespace(namespace.id);
    this.#namespaces.forget(namespace);
  }

  /** The members that the frame's keys lead to, but not `from`. Valid until the next call. */
  #collect(from: HubMember | undefined, buffer: Buffer, start: number): HubMember[] {
    const targets = this.#targets;
    targets.length = 0;
    const namespace = this.#namespaces.get(frameNamespace(buffer, start));
    if (!namespace) return targets;
    const keys = frameKeyCount(buffer, start);
    if (keys === 0) {
      for (const member of namespace.members) if (member !== from) targets.push(member);
      return targets;
    }
    const { interest } = namespace;
    const { bankCount } = interest;
    for (let bank = 0; bank < bankCount; bank++) {
      let mask = 0;
      for (let i = 0; i < keys; i++) {
        mask |= interest.mask(bank, frameKey(buffer, start, i));
      }
      while (mask !== 0) {
        const bit = mask & -mask;
        mask ^= bit;
        const member = this.#bySlot[slotOf(bank, bit)];
        if (member && member !== from) targets.push(member);
      }
    }
    for (const member of namespace.wildcards) {
      // A claim may have put it there already.
      if (member !== from && !targets.includes(member)) targets.push(member);
    }
    return targets;
  }

  /** Sends a frame that came before to a member that turns out to be one of those whom it was for. */
  #sendOn(member: HubMember, buffer: Buffer, start: number, end: number, keys: Set<number>): void {
    switch (frameKind(buffer, start)) {
      case FrameKind.request: {
        const asker = this.#members.get(buffer.readUInt32LE(frameFields(buffer, start)));
        if (asker) this.#ask(asker, buffer, start, end, [member]);
        return;
      }
      case FrameKind.command: {
        const namespace = this.#namespaces.get(frameNamespace(buffer, start));
        const claims = claimsOf(namespace?.keys, buffer, start, end);
        if (claims.length > 0) member.claim(frameNamespace(buffer, start), claims);
        // What came for the rooms that sockets join by it is for the member, too.
        for (const key of claims) keys.add(key);
        return member.outbox.relay(buffer, start, end);
      }
      default: {
        const isVolatile = (frameFlags(buffer, start) & BroadcastFlag.volatile) !== 0;
        if (isVolatile && this.#isCongested(member)) member.dropped++;
        else member.deliverQuietly(buffer, start, end);
      }
    }
  }

  #isCongested({ outbox }: HubMember): boolean {
    return outbox.backlogBytes > this.#limits.maxBacklogBytes * VOLATILE_SHARE;
  }

  /** The packet that has filled it goes on first: whoever is told may close the hub. */
  #onJournalFull(): void {
    queueMicrotask(() => {
      if (!this.isClosed) this.#events.onJournalFull();
    });
  }

  #changeSeed(seed: string): void {
    if (!this.#hosts) return;
    changeSeed(seed, {
      namespaces: this.#namespaces,
      recovery: this.#recovery,
      lateJoins: this.#lateJoins,
      members: this.#members.values(),
      hosts: this.#hosts,
    });
  }

  #onReady(): void {
    if (this.#state !== "starting") return;
    this.#state = "ready";
    for (const callback of this.#waiting) {
      this.#waiting.delete(callback);
      callback();
    }
  }

  #cutOff(member: HubMember): void {
    if (!this.has(member)) return;
    const { backlogBytes } = member.outbox;
    this.#totals.cutOff++;
    if (channels.stalled.hasSubscribers) channels.stalled.publish({ member: member.info, backlogBytes });
    this.remove(member);
    this.#events.onStalled(member.info, backlogBytes);
  }

  #onBroken(member: HubMember, cause: unknown): void {
    this.remove(member);
    this.#events.onError(
      new HoldfastError(
        "HOLDFAST_ERR_BROKEN_FRAME",
        `Worker ${member.workerId} (pid ${member.pid}) was cut off from the others: ${(cause as Error).message}`,
        { cause },
      ),
    );
  }
}

/** Whether frames of this kind are for other members, by the keys of rooms. */
function hasKeys(kind: number): boolean {
  if (kind > FrameKind.record) return kind === FrameKind.sessionForward || kind === FrameKind.sessionLost;
  return kind >= FrameKind.broadcast && kind !== FrameKind.response;
}

/**
 * Whether frames of this kind must not overtake recoverable packets of their sender: because the hub passes them on, or
 * because a session that comes to the sender gets with what it has missed also what was sent before it was asked for.
 */
function isBehindPackets(kind: number): boolean {
  if (kind >= FrameKind.sessionMove) return kind !== FrameKind.sessionAck;
  return (kind >= FrameKind.broadcast && kind <= FrameKind.response) || kind === FrameKind.restore;
}
