/**
 * The hub's part in connection state recovery: keeps sessions, and gives them to whoever the client comes back to.
 * Owns: the sessions, the fences that holders have not answered. Runs in: primary.
 * The hub hands it the frames; it decides, and writes to members' outboxes.
 */
import debugModule from "debug";
import type { RecoveryStats } from "../stats.js";
import type { FieldReader } from "../wire/field-reader.js";
import { FrameKind, SessionFlag } from "../wire/frame.js";
import { roomKey } from "../wire/room-key.js";
import type { HubMember } from "./hub-member.js";
import type { Journal } from "./journal.js";
import type { JournalEntry } from "./journal-slab.js";
import { MissedPackets } from "./missed-packets.js";
import type { Session } from "./session.js";
import { Sessions } from "./sessions.js";

const debug = debugModule("holdfast:adapter:recovery");

/** A holder that stays silent for longer is passed over, and its last snapshot is used. */
const FENCE_MS = 1_000;
const SWEEP_MS = 1_000;
/**
 * Restores wait while more than this share of the allowed backlog is on its way to the worker, and may not
 * need more themselves.
 */
const RESTORE_SHARE = 1 / 4;
const RETRY_MS = 5;
const PORTION_BYTES = 256 * 1024;

export interface RecoveryLimits {
  readonly maxMessageBytes: number;
  readonly maxBacklogBytes: number;
}

/** A worker's question for a session. */
interface RestoreRequest {
  readonly from: HubMember;
  readonly request: number;
  readonly handle: number;
  readonly offset: string;
  timer: NodeJS.Timeout | undefined;
}

export class HubRecovery {
  readonly #limits: RecoveryLimits;
  readonly #journal: Journal;
  /** Nothing of the namespace is kept any more. */
  readonly #onIdle: (namespaceId: number) => void;
  readonly #sessions = new Sessions<HubMember>();
  /** Restores that wait, for the session's holder or for room in the asker's backlog. */
  readonly #restores = new Map<Session<HubMember>, RestoreRequest>();
  readonly #namespaces = new Set<number>();
  #sweep: NodeJS.Timeout | undefined;

  constructor(limits: RecoveryLimits, journal: Journal, onIdle: (namespaceId: number) => void) {
    this.#limits = limits;
    this.#journal = journal;
    this.#onIdle = onIdle;
  }

  get stats(): RecoveryStats {
    const { size, suspendedSize } = this.#sessions;
    return { ...this.#journal.stats(), sessions: size, suspended: suspendedSize };
  }

  has(namespaceId: number): boolean {
    return this.#namespaces.has(namespaceId);
  }

  /** Whether the namespace has to keep its id although no worker has it. */
  keeps(namespaceId: number): boolean {
    return this.has(namespaceId) && this.#sessions.hasAny(namespaceId);
  }

  openNamespace(namespaceId: number, durationMs: number, retainMs: number): void {
    this.#namespaces.add(namespaceId);
    this.#sessions.openNamespace(namespaceId, durationMs);
    this.#journal.retain(retainMs);
    this.#sweep ??= setInterval(() => this.#expire(), SWEEP_MS).unref();
  }

  /** The member's sockets of the namespace, or of all, are gone, and it has not said so. */
  release(member: HubMember, namespaceId?: number): void {
    // It no longer waits for sessions either.
    for (const [session, { from }] of this.#restores) {
      const isConcerned = namespaceId === undefined || session.namespaceId === namespaceId;
      if (from === member && isConcerned) this.#takeRestore(session);
    }
    for (const session of this.#sessions.release(member, namespaceId)) {
      if (member.isMember) member.release(keysOf(session));
    }
    for (const [session, restore] of this.#restores) {
      if (session.state === "suspended") this.#finish(session, restore);
    }
  }

  close(): void {
    clearInterval(this.#sweep);
    for (const { timer } of this.#restores.values()) clearTimeout(timer);
    this.#restores.clear();
  }

  onSessionOpen(from: HubMember, namespaceId: number, fields: FieldReader): void {
    const handle = fields.u32();
    const [privateId, sid] = [fields.text(), fields.text()];
    const known = this.#sessions.find(namespaceId, privateId);
    // A worker that was cut off still has the socket of a session that is wanted, or went, elsewhere.
    const isWanted = known !== undefined && this.#restores.has(known);
    const opened = isWanted ? undefined : this.#sessions.open(from, handle, { namespaceId, privateId, sid });
    if (opened) opened.rooms = fields.names();
    else this.#fence(from, namespaceId, handle);
  }

  onSessionRooms(from: HubMember, namespaceId: number, fields: FieldReader): void {
    const session = this.#sessions.held(from, namespaceId, fields.u32());
    if (!session) return;
    const joined = fields.u8() === 1;
    for (const room of fields.names()) {
      if (joined) session.rooms.add(room);
      else session.rooms.delete(room);
    }
  }

  onSessionData(from: HubMember, namespaceId: number, fields: FieldReader): void {
    const session = this.#sessions.held(from, namespaceId, fields.u32());
    if (session) session.data = new Uint8Array(fields.rest());
  }

  onSessionEnd(from: HubMember, namespaceId: number, flags: number, fields: FieldReader): void {
    const session = this.#sessions.held(from, namespaceId, fields.u32());
    // What a holder that was passed over says is ignored.
    if (!session) return;
    if ((flags & SessionFlag.recoverable) !== 0) return this.#suspend(session);
    this.#releaseClaim(session);
    this.#sessions.forget(session);
    const restore = this.#takeRestore(session);
    if (restore) this.#decline(restore, session.namespaceId);
  }

  onSessionRestored(from: HubMember, namespaceId: number, fields: FieldReader): void {
    const session = this.#sessions.held(from, namespaceId, fields.u32());
    if (!session) return;
    this.#releaseClaim(session);
    session.rooms = fields.names();
    this.#sessions.settle(session);
  }

  onRestore(from: HubMember, namespaceId: number, fields: FieldReader): void {
    const [request, handle] = [fields.u32(), fields.u32()];
    const session = this.#sessions.find(namespaceId, fields.text());
    const restore: RestoreRequest = { from, request, handle, offset: fields.text(), timer: undefined };
    // A holder is not fenced for a session that the asker would not get.
    if (!session || (session.state !== "suspended" && !this.#missed(session, restore))) {
      return this.#decline(restore, namespaceId);
    }
    // The newest connection is the one that the client has.
    const earlier = this.#takeRestore(session);
    if (earlier) this.#decline(earlier, namespaceId);
    this.#restores.set(session, restore);
    if (session.state === "suspended") return this.#finish(session, restore);
    if (session.holder) this.#fence(session.holder, namespaceId, session.handle);
    restore.timer = setTimeout(() => this.#suspend(session), FENCE_MS);
  }

  #fence(holder: HubMember, namespaceId: number, handle: number): void {
    holder.outbox.begin(FrameKind.fence, 0, namespaceId);
    holder.outbox.u32(handle);
    holder.outbox.end();
  }

  /** Nobody has the session's socket; whoever waits for it gets it. */
  #suspend(session: Session<HubMember>): void {
    this.#releaseClaim(session);
    this.#sessions.suspend(session);
    const restore = this.#restores.get(session);
    if (restore) this.#finish(session, restore);
  }

  #releaseClaim(session: Session<HubMember>): void {
    if (session.state === "claimed") session.holder?.release(keysOf(session));
  }

  /** Hands the session over in one step: what is placed from now on follows on the same link. */
  #finish(session: Session<HubMember>, restore: RestoreRequest): void {
    clearTimeout(restore.timer);
    const { from } = restore;
    const { namespaceId, privateId } = session;
    const isThere = this.#sessions.find(namespaceId, privateId) === session;
    const missed = isThere ? this.#missed(session, restore) : undefined;
    if (!from.isMember || !missed) {
      this.#restores.delete(session);
      return this.#decline(restore, namespaceId);
    }
    if (from.outbox.backlogBytes > this.#limits.maxBacklogBytes * RESTORE_SHARE) {
      restore.timer = setTimeout(() => this.#finish(session, restore), RETRY_MS);
      return;
    }
    this.#restores.delete(session);
    if (!this.#answer(session, restore, missed)) return this.#decline(restore, namespaceId);
    this.#sessions.reserve(session);
    this.#sessions.claim(session, from, restore.handle);
    from.hold(keysOf(session));
    debug(
      "session of socket %s restored on worker %d with %d packets",
      session.sid,
      from.workerId,
      missed.length,
    );
  }

  /** @returns false when the session has grown, bit by bit, beyond what one message may hold */
  #answer(
    session: Session<HubMember>,
    { from, request, handle }: RestoreRequest,
    missed: readonly JournalEntry[],
  ): boolean {
    const { outbox } = from;
    const data = session.data ?? NO_DATA;
    outbox.begin(FrameKind.restored, 0, session.namespaceId);
    outbox.u32(request);
    outbox.u32(handle);
    outbox.latin1(this.#journal.lastOffset);
    outbox.text(session.sid);
    outbox.names(session.rooms);
    outbox.u32(data.length);
    outbox.raw(data);
    outbox.u32(missed.length);
    if (outbox.builtBytes > this.#limits.maxMessageBytes) {
      outbox.abort();
      return false;
    }
    outbox.end();
    for (const { buffer, start, end } of missed) outbox.relay(buffer, start, end);
    return true;
  }

  #decline({ from, request, handle }: RestoreRequest, namespaceId: number): void {
    if (!from.isMember) return;
    from.outbox.begin(FrameKind.restored, 0, namespaceId);
    from.outbox.u32(request);
    from.outbox.u32(handle);
    from.outbox.latin1(this.#journal.lastOffset);
    from.outbox.end();
  }

  /** What the client has missed; undefined if that is not known any more, or too much for the link. */
  #missed(session: Session<HubMember>, { offset }: RestoreRequest): JournalEntry[] | undefined {
    const { namespaceId, rooms } = session;
    const audience = { namespaceId, rooms, keys: [...keysOf(session)] };
    const missed = MissedPackets.since(offset, this.#journal, audience);
    if (!missed) return undefined;
    const packets: JournalEntry[] = [];
    let bytes = 0;
    for (let isLast = false; !isLast; ) {
      const portion = missed.take(PORTION_BYTES);
      if (!portion) return undefined;
      for (const { start, end } of portion.packets) bytes += end - start;
      if (bytes > this.#limits.maxBacklogBytes * RESTORE_SHARE) return undefined;
      packets.push(...portion.packets);
      isLast = portion.isLast;
    }
    return packets;
  }

  #takeRestore(session: Session<HubMember>): RestoreRequest | undefined {
    const restore = this.#restores.get(session);
    clearTimeout(restore?.timer);
    this.#restores.delete(session);
    return restore;
  }

  #expire(): void {
    for (const _ of this.#journal.expire());
    for (const _ of this.#sessions.expire());
    for (const namespaceId of this.#namespaces) {
      if (!this.#sessions.hasAny(namespaceId)) this.#onIdle(namespaceId);
    }
  }

  /** The namespace is gone from the hub. */
  forgetNamespace(namespaceId: number): void {
    this.#namespaces.delete(namespaceId);
    this.#sessions.forgetNamespace(namespaceId);
    this.#journal.forgetNamespace(namespaceId);
  }
}

const NO_DATA = new Uint8Array(0);

function keysOf({ namespaceId, rooms }: Session<HubMember>): Set<number> {
  const keys = new Set<number>();
  for (const room of rooms) keys.add(roomKey(namespaceId, String(room)));
  return keys;
}
