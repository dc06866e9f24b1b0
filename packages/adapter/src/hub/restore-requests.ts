/**
 * Sessions that members have asked for: a request waits until nobody has the session, then for its turn, and is
 * answered with the session and what its client has missed. It waits as long as it takes.
 * Owns: the requests, the time that a holder is given to let go, the pace at which links are filled.
 * Runs in: primary.
 *
 * What was missed goes in portions, so that neither the event loop nor a link is blocked by one client or by
 * thousands. The last portion and the session go in one step: what is placed from then on follows on the same link.
 */
import debugModule from "debug";
import { FrameKind, VOLATILE_SHARE } from "../wire/frame.js";
import type { HubMember } from "./hub-member.js";
import type { Journal } from "./journal.js";
import type { JournalEntry } from "./journal-slab.js";
import { MissedPackets } from "./missed-packets.js";
import type { Session } from "./session.js";
import type { Slices } from "./slices.js";

const debug = debugModule("holdfast:adapter:recovery");

/** A holder that stays silent for longer is passed over, and its last snapshot is used. */
const FENCE_MS = 1_000;
const PORTION_BYTES = 256 * 1024;
/** A link on which more than this share of the allowed backlog waits is not given more. */
const FULL_SHARE = 7 / 8;
/** When to look again whether links have room. */
const RETRY_MS = 5;

/**
 * fencing: who has the session has been told to let go. queued: nobody has it, and it is kept for this request. sending:
 * a part of what was missed is on the link.
 *
 * fencing → queued → sending → over (answered); any state → over (declined, withdrawn, or a newer one has come)
 */
type RequestState = "fencing" | "queued" | "sending" | "over";

interface RestoreRequest {
  readonly from: HubMember;
  /** What `from` will call the session by. */
  readonly handle: number;
  readonly session: Session<HubMember>;
  readonly offset: string;
  state: RequestState;
  /** When the holder is passed over. */
  timer: NodeJS.Timeout | undefined;
  missed: MissedPackets | undefined;
}

/** The requests of one member. */
interface Lane {
  readonly byHandle: Map<number, RestoreRequest>;
  /** Those whose turn comes, the oldest first; some may be over by then. */
  readonly queue: RestoreRequest[];
  /** Bytes that were sent in answers since the link had taken all of them, and where on the link they end. */
  sentBytes: number;
  sentUpTo: number;
}

export interface RestoreLimits {
  readonly maxMessageBytes: number;
  readonly maxBacklogBytes: number;
}

export interface RestoreEvents {
  /** Keys of the session's rooms. */
  keysOf(session: Session): number[];
  /** Tells the holder to let go of the session. */
  fence(session: Session<HubMember>): void;
  /** Takes the session from its holder. */
  passOver(session: Session<HubMember>): void;
  /** Keeps the session for a request. */
  reserve(session: Session<HubMember>): void;
  /** Nobody asks for the session any more. */
  giveUp(session: Session<HubMember>): void;
  /** The member has been sent the session. */
  onGiven(session: Session<HubMember>, to: HubMember, handle: number): void;
}

export class RestoreRequests {
  readonly #limits: RestoreLimits;
  readonly #journal: Journal;
  readonly #slices: Slices;
  readonly #events: RestoreEvents;
  readonly #bySession = new Map<Session<HubMember>, RestoreRequest>();
  readonly #lanes = new Map<HubMember, Lane>();
  #isWorking = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(limits: RestoreLimits, journal: Journal, slices: Slices, events: RestoreEvents) {
    this.#limits = limits;
    this.#journal = journal;
    this.#slices = slices;
    this.#events = events;
  }

  /** Whether somebody waits for the session. */
  isWanted(session: Session<HubMember>): boolean {
    return this.#bySession.has(session);
  }

  /** A member asks for a session. The newest connection is the one that the client has. */
  add(from: HubMember, handle: number, session: Session<HubMember>, offset: string): void {
    const earlier = this.#bySession.get(session);
    if (earlier) this.#remove(earlier);
    const request: RestoreRequest = {
      from,
      handle,
      session,
      offset,
      state: "fencing",
      // However often a client asks, the holder has its time once.
      timer: earlier?.timer,
      missed: undefined,
    };
    this.#bySession.set(session, request);
    this.#laneOf(from).byHandle.set(handle, request);
    if (earlier) this.decline(earlier.from, earlier.handle, session.namespaceId);
    if (!session.holder) return this.#enqueue(request);
    if (request.timer) return;
    this.#events.fence(session);
    request.timer = setTimeout(() => this.#events.passOver(session), FENCE_MS);
  }

  /** Nobody has the session any more: whoever waits for it gets it. */
  onSuspended(session: Session<HubMember>): void {
    const request = this.#bySession.get(session);
    if (request?.state === "fencing") this.#enqueue(request);
  }

  /** Holders are gone. */
  onReleased(): void {
    for (const request of this.#bySession.values()) {
      if (request.state === "fencing" && !request.session.holder) this.#enqueue(request);
    }
  }

  /** The session has ended for good. */
  onEnded(session: Session<HubMember>): void {
    const request = this.#bySession.get(session);
    if (!request) return;
    this.#end(request);
    this.decline(request.from, request.handle, session.namespaceId);
  }

  /** The client that the member asked for is gone. @returns whether there was such a request */
  withdraw(from: HubMember, handle: number): boolean {
    const request = this.#lanes.get(from)?.byHandle.get(handle);
    if (!request) return false;
    this.#end(request);
    this.#events.giveUp(request.session);
    return true;
  }

  /** The member is gone, or has closed a namespace: it waits for nothing any more. */
  release(from: HubMember, namespaceId?: number): void {
    for (const { handle, session } of this.#lanes.get(from)?.byHandle.values() ?? []) {
      if (namespaceId === undefined || session.namespaceId === namespaceId) this.withdraw(from, handle);
    }
    if (namespaceId === undefined) this.#lanes.delete(from);
  }

  close(): void {
    clearTimeout(this.#retry);
    for (const { timer } of this.#bySession.values()) clearTimeout(timer);
    this.#bySession.clear();
    this.#lanes.clear();
  }

  /** Answers that there is no such session. */
  decline({ outbox }: HubMember, handle: number, namespaceId: number): void {
    outbox.begin(FrameKind.restored, 0, namespaceId);
    outbox.u32(handle);
    outbox.latin1(this.#journal.lastOffset);
    outbox.end();
  }

  #enqueue(request: RestoreRequest): void {
    clearTimeout(request.timer);
    request.timer = undefined;
    request.state = "queued";
    if (request.session.state === "suspended") this.#events.reserve(request.session);
    this.#laneOf(request.from).queue.push(request);
    this.#startWork();
  }

  #startWork(): void {
    if (this.#isWorking) return;
    this.#isWorking = true;
    this.#slices.add(this.#work());
  }

  *#work(): Generator<void> {
    for (let hasRoom = true; hasRoom; ) {
      hasRoom = false;
      for (const [member, lane] of this.#lanes) {
        while (lane.queue[0]?.state === "over") lane.queue.shift();
        const request = lane.queue[0];
        if (!request || !this.#hasRoom(member, lane)) continue;
        this.#answer(request, lane);
        hasRoom = true;
        yield;
      }
    }
    this.#isWorking = false;
    for (const { queue } of this.#lanes.values()) if (queue.length > 0) return this.#workLater();
  }

  #workLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#startWork();
    }, RETRY_MS);
  }

  /** Whether the link has taken what it was sent before, and is not too full with other things. */
  #hasRoom({ outbox }: HubMember, lane: Lane): boolean {
    const { maxBacklogBytes } = this.#limits;
    const { backlogBytes } = outbox;
    if (backlogBytes > maxBacklogBytes * FULL_SHARE) return false;
    if (outbox.bytes - backlogBytes >= lane.sentUpTo) lane.sentBytes = 0;
    return lane.sentBytes < maxBacklogBytes * VOLATILE_SHARE;
  }

  /** Answers a request, or sends a part of the answer. */
  #answer(request: RestoreRequest, lane: Lane): void {
    const { from, session, offset } = request;
    const { namespaceId, rooms } = session;
    if (!request.missed) {
      const audience = { namespaceId, rooms, keys: this.#events.keysOf(session) };
      request.missed = MissedPackets.since(offset, this.#journal, audience);
    }
    const portion = request.missed?.take(PORTION_BYTES);
    if (!portion) return this.#refuse(request);
    const bytesBefore = from.outbox.bytes;
    if (!portion.isLast) this.#sendPart(request, portion.packets);
    else if (!this.#sendAll(request, portion.packets)) return this.#refuse(request);
    lane.sentUpTo = from.outbox.bytes;
    lane.sentBytes += lane.sentUpTo - bytesBefore;
  }

  #sendPart(request: RestoreRequest, packets: readonly JournalEntry[]): void {
    request.state = "sending";
    // It may still be looking for them.
    if (packets.length === 0) return;
    const { outbox } = request.from;
    outbox.begin(FrameKind.missed, 0, request.session.namespaceId);
    outbox.u32(request.handle);
    outbox.u32(packets.length);
    outbox.end();
    for (const { buffer, start, end } of packets) outbox.relay(buffer, start, end);
  }

  /** @returns false when the session has grown, bit by bit, beyond what one message may hold */
  #sendAll(request: RestoreRequest, packets: readonly JournalEntry[]): boolean {
    const { from, handle, session } = request;
    const { outbox } = from;
    const data = session.data ?? NO_DATA;
    outbox.begin(FrameKind.restored, 0, session.namespaceId);
    outbox.u32(handle);
    outbox.latin1(this.#journal.lastOffset);
    outbox.text(session.sid);
    outbox.names(session.rooms);
    outbox.u32(data.length);
    outbox.raw(data);
    outbox.u32(packets.length);
    if (outbox.builtBytes > this.#limits.maxMessageBytes) {
      outbox.abort();
      return false;
    }
    outbox.end();
    for (const { buffer, start, end } of packets) outbox.relay(buffer, start, end);
    this.#end(request);
    this.#events.onGiven(session, from, handle);
    debug("session of socket %s restored on worker %d", session.sid, from.workerId);
    return true;
  }

  #refuse(request: RestoreRequest): void {
    const { from, handle, session } = request;
    this.#end(request);
    this.#events.giveUp(session);
    this.decline(from, handle, session.namespaceId);
  }

  #end(request: RestoreRequest): void {
    clearTimeout(request.timer);
    this.#bySession.delete(request.session);
    this.#remove(request);
  }

  #remove(request: RestoreRequest): void {
    request.state = "over";
    this.#lanes.get(request.from)?.byHandle.delete(request.handle);
  }

  #laneOf(member: HubMember): Lane {
    let lane = this.#lanes.get(member);
    if (!lane) {
      lane = { byHandle: new Map(), queue: [], sentBytes: 0, sentUpTo: 0 };
      this.#lanes.set(member, lane);
    }
    return lane;
  }
}

const NO_DATA = new Uint8Array(0);
