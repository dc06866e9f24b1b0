/**
 * The hub's part in connection state recovery: keeps sessions, and gives them to whoever the client comes back to.
 * Owns: the sessions, the requests for them, the journal's and the sessions' regular cleaning. Runs in: where the hub is.
 * The hub hands it the frames; it decides, and writes to members' outboxes.
 *
 * Longer than other files: what a frame about a session does has to leave sessions, requests and searches in
 * agreement, so all such frames are read together.
 */
import type { RecoveryStats } from "../stats.js";
import { BytesMemo } from "../wire/bytes-memo.js";
import { brokenMessage, type FieldReader } from "../wire/field-reader.js";
import { FrameKind, frameFlags, frameKind, frameNamespace, SessionFlag } from "../wire/frame.js";
import type { NamespaceKeys } from "../wire/room-key.js";
import { fieldsOf } from "./frame-fields.js";
import type { HubMember } from "./hub-member.js";
import type { Journal } from "./journal.js";
import { type RestoreLimits, type RestoreQuestion, RestoreRequests } from "./restore-requests.js";
import type { Session } from "./session.js";
import { FIRST_HANDLE, onSessionHeard, writeArriving, writeCut } from "./session-moves.js";
import { Sessions } from "./sessions.js";
import { SharedNames } from "./shared-names.js";
import { type FoundSession, SharedSessions, type SharedSessionsOptions } from "./shared-sessions.js";
import { Slices } from "./slices.js";

const SWEEP_MS = 1_000;
/** So long another host waits for a holder here to let go of a session. */
const HAND_OVER_MS = 1_000;

/** A member's question for a session that is not here. */
interface Search {
  readonly from: HubMember;
  readonly namespaceId: number;
  readonly giveUp: () => void;
}

export interface RecoveryHooks {
  /** Nothing of the namespace is kept any more. */
  onIdle(namespaceId: number): void;
  /** The worker's member, if it has the namespace. */
  memberOf(namespaceId: number, workerId: number): HubMember | undefined;
}

export class HubRecovery {
  readonly #journal: Journal;
  readonly #hooks: RecoveryHooks;
  readonly #sessions = new Sessions<HubMember>();
  readonly #names = new SharedNames();
  readonly #data = new BytesMemo();
  readonly #slices = new Slices();
  readonly #requests: RestoreRequests;
  /** Namespaces with recovery, by id, and the keys of their rooms. */
  readonly #namespaces = new Map<number, NamespaceKeys>();
  /** Keys of rooms that their holders are taken to be in, while they make the sockets. */
  readonly #claims = new Map<Session<HubMember>, readonly number[]>();
  readonly #shared: SharedSessions | undefined;
  /** By the handle that the member has for the session. */
  readonly #searches = new Map<HubMember, Map<number, Search>>();
  /** Other hosts that wait for a session here, and until when its holder has time. */
  readonly #handOvers = new Map<Session<HubMember>, { callbacks: (() => void)[]; timer: NodeJS.Timeout }>();
  readonly #maxMessageBytes: number;
  /** Sessions that have moved so far. */
  #moves = 0;
  /** Sessions that were asked for so far. */
  #asked = 0;
  #timer: NodeJS.Timeout | undefined;
  #isSweeping = false;

  /** @param shared with other hosts, where there are some */
  constructor(limits: RestoreLimits, journal: Journal, hooks: RecoveryHooks, shared?: SharedSessionsOptions) {
    this.#maxMessageBytes = limits.maxMessageBytes;
    this.#journal = journal;
    this.#hooks = hooks;
    this.#shared = shared && new SharedSessions(shared, (session) => this.#knownDurationOf(session));
    this.#requests = new RestoreRequests(limits, journal, this.#slices, {
      keysOf: (session) => this.#keysOf(session),
      fence: ({ holder, namespaceId, handle }) => holder && fence(holder, namespaceId, handle),
      passOver: (session) => this.#suspend(session),
      reserve: (session) => this.#sessions.reserve(session),
      giveUp: (session) => session.state === "restoring" && this.#sessions.suspend(session),
      onGiven: (session, { from, handle, askedAt }, keys) => {
        this.#claim(session, from, handle, keys, askedAt);
        this.#shared?.keep(session, this.#durationOf(session));
      },
    });
  }

  get stats(): RecoveryStats {
    const { size, suspendedSize } = this.#sessions;
    return {
      ...this.#journal.stats(),
      asked: this.#asked,
      ...this.#requests.stats,
      sessions: size,
      suspended: suspendedSize,
    };
  }

  has(namespaceId: number): boolean {
    return this.#namespaces.has(namespaceId);
  }

  /** Whether the namespace has to keep its id although no worker has it. */
  keeps(namespaceId: number): boolean {
    return this.has(namespaceId) && this.#sessions.hasAny(namespaceId);
  }

  openNamespace(namespaceId: number, keys: NamespaceKeys, durationMs: number, retainMs: number): void {
    this.#namespaces.set(namespaceId, keys);
    this.#sessions.openNamespace(namespaceId, durationMs);
    this.#journal.retain(retainMs);
    this.#timer ??= setInterval(() => this.#startSweep(), SWEEP_MS).unref();
  }

  /** Keys are made with another seed: what was claimed with the old ones has been dropped, and is claimed anew. */
  onKeys(namespaceId: number, keys: NamespaceKeys): void {
    if (!this.has(namespaceId)) return;
    this.#namespaces.set(namespaceId, keys);
    for (const session of this.#claims.keys()) {
      if (session.namespaceId !== namespaceId) continue;
      const renewed = this.#keysOf(session);
      this.#claims.set(session, renewed);
      session.holder?.hold(namespaceId, renewed);
    }
  }

  /** The member's sockets of the namespace, or of all, are gone without a word. */
  release(member: HubMember, namespaceId?: number): void {
    this.#requests.release(member, namespaceId);
    for (const [handle, search] of this.#searches.get(member) ?? []) {
      if (namespaceId === undefined || search.namespaceId === namespaceId) this.#endSearch(member, handle);
    }
    for (const session of this.#sessions.release(member, namespaceId)) this.#releaseClaim(session, member);
    this.#requests.onReleased();
    for (const session of this.#handOvers.keys()) if (!session.holder) this.#endHandOver(session);
  }

  /**
   * The other hosts know nothing of the sessions here: it is another beginning.
   * @param wasApart whether packets were placed for them here that are not in the order of the hosts
   */
  onJoined(wasApart: boolean): void {
    for (const session of this.#sessions.all()) {
      if (wasApart) session.validAfter = this.#journal.lastOffset;
      this.#shared?.keep(session, this.#durationOf(session));
    }
  }

  onHostGone(host: string): void {
    this.#shared?.onHostGone(host);
  }

  /** A session that another host was asked for is free. */
  onReleased(number: number): void {
    this.#shared?.onReleased(number);
  }

  /**
   * Packets are lost to this host. Their clients have to come back before they get later ones: then their offsets
   * tell what they lack, which other hosts may have.
   */
  onPacketsLost(): void {
    for (const { holder, namespaceId, handle } of this.#sessions.all()) {
      if (holder) fence(holder, namespaceId, handle);
    }
  }

  /** Another host has the session. */
  onLost(namespaceId: number | undefined, privateId: string): void {
    const session = namespaceId === undefined ? undefined : this.#sessions.find(namespaceId, privateId);
    if (!session) return;
    if (session.holder) fence(session.holder, session.namespaceId, session.handle);
    this.#drop(session);
  }

  /** Another host wants the session. @param onReleased called when it is free, or is not here */
  handOver(name: string, namespaceId: number | undefined, privateId: string, onReleased: () => void): void {
    const session = namespaceId === undefined ? undefined : this.#sessions.find(namespaceId, privateId);
    if (!session) {
      this.#shared?.releaseUnknown(name, privateId);
      return onReleased();
    }
    const waiting = this.#handOvers.get(session);
    if (waiting) return void waiting.callbacks.push(onReleased);
    const timer = setTimeout(() => this.#endHandOver(session), HAND_OVER_MS);
    this.#handOvers.set(session, { callbacks: [onReleased], timer });
    if (session.holder) fence(session.holder, session.namespaceId, session.handle);
    else this.#endHandOver(session);
  }

  #endHandOver(session: Session<HubMember>): void {
    const handOver = this.#handOvers.get(session);
    if (!handOver) return;
    this.#handOvers.delete(session);
    clearTimeout(handOver.timer);
    this.#shared?.release(session, this.#durationOf(session));
    this.#drop(session);
    for (const callback of handOver.callbacks) callback();
  }

  /** The session is no longer one of this host. */
  #drop(session: Session<HubMember>): void {
    this.#releaseClaim(session);
    this.#sessions.forget(session);
    this.#requests.onEnded(session);
  }

  #durationOf({ namespaceId }: Session): number {
    return this.#sessions.durationOf(namespaceId);
  }

  #knownDurationOf(session: Session): number | undefined {
    const known = this.#sessions.find(session.namespaceId, session.privateId);
    return known === session ? this.#durationOf(session) : undefined;
  }

  /** What members have said of their sessions is kept with the backplane, once for all that was read. */
  keepChanged(): void {
    this.#shared?.keepChanged();
  }

  /** Calls back when other hosts act on what members want, and would find the sessions as they are now. */
  whenInEffect(callback: () => void): void {
    if (this.#shared) this.#shared.whenInEffect(callback);
    else callback();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#requests.close();
    this.#shared?.close();
    for (const { timer } of this.#handOvers.values()) clearTimeout(timer);
    this.#slices.close();
  }

  /** A frame that is about sessions, as it should be. */
  onFrame(from: HubMember, buffer: Buffer, start: number, end: number): void {
    const namespaceId = frameNamespace(buffer, start);
    const fields = fieldsOf(buffer, start, end);
    const kind = frameKind(buffer, start);
    switch (kind) {
      case FrameKind.sessionOpen:
        return this.#onSessionOpen(from, namespaceId, fields);
      case FrameKind.sessionRooms:
        return this.#onSessionRooms(from, namespaceId, fields);
      case FrameKind.sessionData:
        return this.#onSessionData(from, namespaceId, fields);
      case FrameKind.sessionEnd:
        return this.#onSessionEnd(from, namespaceId, frameFlags(buffer, start), fields);
      case FrameKind.sessionRestored:
        return this.#onSessionRestored(from, namespaceId, fields);
      case FrameKind.restore:
        return this.#onRestore(from, namespaceId, fields);
      case FrameKind.sessionMove:
        return this.#onSessionMove(from, namespaceId, fields);
      case FrameKind.sessionHeard:
        return onSessionHeard(from, namespaceId, fields);
      default:
        throw brokenMessage(`its kind is ${kind}, which the hub does not know`);
    }
  }

  #onSessionOpen(from: HubMember, namespaceId: number, fields: FieldReader): void {
    const handle = fields.u32();
    const [privateId, sid] = [fields.text(), fields.text()];
    const known = this.#sessions.find(namespaceId, privateId);
    // A worker that was cut off still has the socket of a session that is wanted, or went, elsewhere.
    const isWanted = known !== undefined && this.#requests.isWanted(known);
    const opened = isWanted ? undefined : this.#sessions.open(from, handle, { namespaceId, privateId, sid });
    if (!opened) return fence(from, namespaceId, handle);
    // The room of its own is named by the id that the session has already.
    opened.rooms = fields.names((name) => (name === sid ? sid : this.#names.share(name)));
    this.#shared?.keep(opened, this.#durationOf(opened));
  }

  #onSessionRooms(from: HubMember, namespaceId: number, fields: FieldReader): void {
    const session = this.#sessions.held(from, namespaceId, fields.u32());
    if (!session) return;
    const joined = fields.u8() === 1;
    for (const room of fields.names(this.#names.share)) {
      if (joined) session.rooms.add(room);
      else session.rooms.delete(room);
    }
    this.#shared?.change(session, "rooms");
  }

  #onSessionData(from: HubMember, namespaceId: number, fields: FieldReader): void {
    const session = this.#sessions.held(from, namespaceId, fields.u32());
    if (!session) return;
    session.data = this.#data.keep(fields.rest());
    this.#shared?.change(session, "data");
  }

  #onSessionEnd(from: HubMember, namespaceId: number, flags: number, fields: FieldReader): void {
    const handle = fields.u32();
    const session = this.#sessions.held(from, namespaceId, handle);
    if (!session) {
      // Its client has gone before there was an answer. Or it was passed over, and what it says is ignored.
      this.#requests.withdraw(from, handle);
      this.#endSearch(from, handle);
      return;
    }
    if ((flags & SessionFlag.recoverable) !== 0) return this.#suspend(session);
    this.#releaseClaim(session);
    this.#shared?.forget(session);
    this.#sessions.forget(session);
    this.#requests.onEnded(session);
    this.#endHandOver(session);
  }

  #onSessionRestored(from: HubMember, namespaceId: number, fields: FieldReader): void {
    const session = this.#sessions.held(from, namespaceId, fields.u32());
    if (!session) return;
    this.#releaseClaim(session);
    session.rooms = fields.names(this.#names.share);
    this.#sessions.settle(session);
    this.#shared?.change(session, "rooms");
  }

  #onRestore(from: HubMember, namespaceId: number, fields: FieldReader): void {
    const [handle, askedAt] = [fields.u32(), fields.u64()];
    const [privateId, offset] = [fields.text(), fields.text()];
    const question = { from, handle, askedAt, offset };
    this.#asked++;
    const session = this.#sessions.find(namespaceId, privateId);
    if (session || !this.#shared || !this.has(namespaceId))
      return this.#restore(question, namespaceId, session);
    const searches = this.#searches.get(from) ?? new Map<number, Search>();
    this.#searches.set(from, searches);
    let isOver = false;
    const giveUp = this.#shared.find(
      namespaceId,
      privateId,
      this.#sessions.durationOf(namespaceId),
      (found) => {
        isOver = true;
        this.#endSearch(from, handle);
        this.#restore(question, namespaceId, found && this.#adopt(namespaceId, privateId, found));
      },
    );
    if (!isOver) searches.set(handle, { from, namespaceId, giveUp });
  }

  #endSearch(from: HubMember, handle: number): void {
    const searches = this.#searches.get(from);
    searches?.get(handle)?.giveUp();
    searches?.delete(handle);
    if (searches?.size === 0) this.#searches.delete(from);
  }

  /** A session that another host had is one of this host now. */
  #adopt(
    namespaceId: number,
    privateId: string,
    { sid, rooms, data, validAfter }: FoundSession,
  ): Session<HubMember> | undefined {
    const known = this.#sessions.find(namespaceId, privateId);
    if (known) return known;
    const session = this.#sessions.adopt({ namespaceId, privateId, sid });
    if (!session) return undefined;
    session.rooms = rooms;
    session.data = data;
    session.validAfter = validAfter;
    return session;
  }

  #restore(question: RestoreQuestion, namespaceId: number, session: Session<HubMember> | undefined): void {
    if (session) this.#requests.add(question, session);
    else this.#requests.decline(question, namespaceId, "unknown");
  }

  /**
   * A worker gives the session of a live socket to its successor. This is the cut: everything that was relayed before
   * goes through the one, everything after through the other.
   */
  #onSessionMove(from: HubMember, namespaceId: number, fields: FieldReader): void {
    const handle = fields.u32();
    const to = this.#hooks.memberOf(namespaceId, fields.u32());
    const session = this.#sessions.held(from, namespaceId, handle);
    const canMove = session?.state === "live" && !this.#requests.isWanted(session);
    const moves = canMove && to !== undefined && to !== from && this.#give(session, to);
    writeCut(from, namespaceId, handle, moves);
  }

  #give(session: Session<HubMember>, to: HubMember): boolean {
    const handle = FIRST_HANDLE + this.#moves;
    const { lastOffset } = this.#journal;
    if (!writeArriving(to, session, handle, lastOffset, this.#maxMessageBytes)) return false;
    this.#moves = (this.#moves + 1) % FIRST_HANDLE;
    to.awaitHearing(session.namespaceId, handle);
    this.#claim(session, to, handle, this.#keysOf(session));
    return true;
  }

  /** The namespace is gone from the hub. */
  forgetNamespace(namespaceId: number): void {
    this.#namespaces.delete(namespaceId);
    this.#sessions.forgetNamespace(namespaceId);
    this.#journal.forgetNamespace(namespaceId);
  }

  /** Nobody has the session's socket; whoever waits for it gets it. */
  #suspend(session: Session<HubMember>): void {
    this.#releaseClaim(session);
    this.#sessions.suspend(session);
    if (this.#handOvers.has(session)) return this.#endHandOver(session);
    this.#requests.onSuspended(session);
  }

  /** A member has what there is of the session, and makes its socket. */
  #claim(
    session: Session<HubMember>,
    to: HubMember,
    handle: number,
    keys: readonly number[],
    askedAt?: number,
  ): void {
    this.#sessions.claim(session, to, handle, askedAt);
    this.#claims.set(session, keys);
    to.hold(session.namespaceId, keys);
  }

  #releaseClaim(session: Session<HubMember>, holder = session.holder): void {
    const keys = this.#claims.get(session);
    if (!keys) return;
    this.#claims.delete(session);
    // Of one that is gone nothing is known any more.
    if (holder?.isMember) holder.release(session.namespaceId, keys);
  }

  #startSweep(): void {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    this.#slices.add(this.#sweep());
  }

  *#sweep(): Generator<void> {
    yield* this.#journal.expire();
    yield* this.#sessions.expire();
    if (this.#shared) yield* this.#refresh(this.#shared);
    for (const namespaceId of this.#namespaces.keys()) {
      if (!this.#sessions.hasAny(namespaceId)) this.#hooks.onIdle(namespaceId);
      yield;
    }
    this.#isSweeping = false;
  }

  /** Sessions with a socket are kept for as long as they have it. */
  *#refresh(shared: SharedSessions): Generator<void> {
    for (const session of this.#sessions.all()) {
      if (session.holder) shared.refresh(session, this.#durationOf(session));
      yield;
    }
  }

  /** One for each room, though two may have the same. */
  #keysOf({ namespaceId, rooms }: Session): number[] {
    const ofNamespace = this.#namespaces.get(namespaceId);
    // Names may be of any type.
    return ofNamespace ? Array.from(ofNamespace.ofAll(Array.from(rooms, String))) : [];
  }
}

function fence(holder: HubMember, namespaceId: number, handle: number): void {
  holder.outbox.begin(FrameKind.fence, 0, namespaceId);
  holder.outbox.u32(handle);
  holder.outbox.end();
}
