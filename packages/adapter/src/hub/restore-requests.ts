/**
 * Sessions that members have asked for: a request waits until nobody has the session, then for its turn, and is
 * answered with the session and what its client has missed. It waits as long as it takes.
 * Owns: the requests, and the time that a holder is given to let go. Runs in: where the hub is.
 *
 * What was missed goes in portions, so that neither the event loop nor a link is blocked by one client or by
 * thousands. The last portion and the session go in one step: what is placed from then on follows on the same link.
 *
 * Longer than other files: the moves between the states of a request are read together.
 */
import { channels } from "../diagnostics.js";
import { DECLINE_REASONS, type DeclineReason, type RestoreStats } from "../stats.js";
import { sameOrder } from "../wire/offset.js";
import type { HubMember } from "./hub-member.js";
import type { Journal } from "./journal.js";
import type { JournalEntry } from "./journal-slab.js";
import { LinkPace } from "./link-pace.js";
import { MissedPackets } from "./missed-packets.js";
import { type Asker, writeMissed, writeNone, writeSession } from "./restore-answers.js";
import type { Session } from "./session.js";
import type { Slices } from "./slices.js";

/** A holder that stays silent for longer is passed over, and its last snapshot is used. */
const FENCE_MS = 1_000;
const PORTION_BYTES = 256 * 1024;
/** When to look again whether links have room. */
const RETRY_MS = 5;

/**
 * queued: it waits for its turn. fencing: who has the session has been told to let go. sending: a part of what was
 * missed is on the link. behind: a newer connection has asked for the session; if its client goes before it is answered,
 * this one is next.
 *
 * queued → sending → over (answered); queued → fencing → queued; queued, fencing and sending → behind → queued; any
 * state → over (withdrawn, or declined)
 */
type RequestState = "queued" | "fencing" | "sending" | "behind" | "over";

/** What a member asks. */
export interface RestoreQuestion extends Asker {
  /** When the client's connection asked for it, on the clock of `machineTime()`. */
  readonly askedAt: number;
  readonly offset: string;
}

interface RestoreRequest extends RestoreQuestion {
  readonly wanted: Wanted;
  state: RequestState;
  missed: MissedPackets | undefined;
  /** Of the session's rooms; known with `missed`. */
  keys: readonly number[];
  /** Packets that it has been sent. */
  packets: number;
}

/** A session that is asked for. */
interface Wanted {
  readonly session: Session<HubMember>;
  /**
   * The newest connection is the one that the client has: it comes last, the others are behind. A hub that stood still
   * reads what several members asked meanwhile in any order.
   */
  readonly requests: RestoreRequest[];
  /** Until its holder is passed over. However often a client asks, the holder has its time once. */
  fence: NodeJS.Timeout | undefined;
}

/** The requests of one member. */
interface Lane {
  readonly byHandle: Map<number, RestoreRequest>;
  /** Those whose turn comes, the oldest first; by then it may be somebody else's. */
  readonly queue: RestoreRequest[];
  readonly pace: LinkPace;
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
  onGiven(session: Session<HubMember>, to: RestoreQuestion, keys: readonly number[]): void;
}

export class RestoreRequests {
  readonly #limits: RestoreLimits;
  readonly #journal: Journal;
  readonly #slices: Slices;
  readonly #events: RestoreEvents;
  readonly #wanted = new Map<Session<HubMember>, Wanted>();
  readonly #lanes = new Map<HubMember, Lane>();
  #restored = 0;
  #resent = 0;
  readonly #declined = Object.fromEntries(DECLINE_REASONS.map((reason) => [reason, 0])) as Record<
    DeclineReason,
    number
  >;
  #isWorking = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(limits: RestoreLimits, journal: Journal, slices: Slices, events: RestoreEvents) {
    this.#limits = limits;
    this.#journal = journal;
    this.#slices = slices;
    this.#events = events;
  }

  get stats(): Omit<RestoreStats, "asked"> {
    return { restored: this.#restored, declined: { ...this.#declined }, resent: this.#resent };
  }

  /** Whether somebody waits for the session. */
  isWanted(session: Session<HubMember>): boolean {
    return this.#wanted.has(session);
  }

  /** A member asks for a session. */
  add(question: RestoreQuestion, session: Session<HubMember>): void {
    const { from, handle, askedAt } = question;
    if (askedAt < session.askedAt) return this.decline(question, session.namespaceId, "overtaken");
    const wanted = this.#wanted.get(session) ?? { session, requests: [], fence: undefined };
    this.#wanted.set(session, wanted);
    const { requests } = wanted;
    const newest = requests.at(-1);
    const request: RestoreRequest = {
      ...question,
      wanted,
      state: "behind",
      missed: undefined,
      keys: [],
      packets: 0,
    };
    requests.splice(requests.findLastIndex((other) => other.askedAt <= askedAt) + 1, 0, request);
    this.#laneOf(from).byHandle.set(handle, request);
    if (session.state === "suspended") this.#events.reserve(session);
    if (requests.at(-1) !== request) return;
    if (newest) newest.state = "behind";
    this.#enqueue(request);
  }

  /** Nobody has the session any more: whoever waits for it gets it. */
  onSuspended(session: Session<HubMember>): void {
    const wanted = this.#wanted.get(session);
    if (wanted) this.#onFree(wanted);
  }

  /** Holders are gone. */
  onReleased(): void {
    for (const wanted of this.#wanted.values()) {
      if (wanted.session.state === "suspended") this.#onFree(wanted);
    }
  }

  #onFree(wanted: Wanted): void {
    clearTimeout(wanted.fence);
    wanted.fence = undefined;
    this.#events.reserve(wanted.session);
    const request = wanted.requests.at(-1);
    if (request?.state === "fencing") this.#enqueue(request);
  }

  /** The session has ended for good. */
  onEnded(session: Session<HubMember>): void {
    for (const request of [...(this.#wanted.get(session)?.requests ?? [])]) this.#decline(request, "unknown");
  }

  /** The client that the member asked for is gone. */
  withdraw(from: HubMember, handle: number): void {
    const request = this.#lanes.get(from)?.byHandle.get(handle);
    if (request) this.#end(request);
  }

  /** The member is gone, or has closed a namespace: it waits for nothing any more. */
  release(from: HubMember, namespaceId?: number): void {
    for (const request of this.#lanes.get(from)?.byHandle.values() ?? []) {
      const isOfIt = namespaceId === undefined || request.wanted.session.namespaceId === namespaceId;
      if (isOfIt) this.#end(request);
    }
    if (namespaceId === undefined) this.#lanes.delete(from);
  }

  close(): void {
    clearTimeout(this.#retry);
    for (const { fence } of this.#wanted.values()) clearTimeout(fence);
    this.#wanted.clear();
    this.#lanes.clear();
  }

  /** Answers that there is no such session. */
  decline(asker: Asker, namespaceId: number, reason: DeclineReason): void {
    this.#declined[reason]++;
    if (channels.decline.hasSubscribers) channels.decline.publish({ member: asker.from.info, reason });
    writeNone(asker, namespaceId, this.#journal.lastOffset);
  }

  #enqueue(request: RestoreRequest): void {
    request.state = "queued";
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
      for (const lane of this.#lanes.values()) {
        const request = nextOf(lane);
        if (!request || !lane.pace.hasRoom) continue;
        lane.pace.add(() => this.#answer(request));
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

  /** Answers a request, or sends a part of the answer, or has its session set free. */
  #answer(request: RestoreRequest): void {
    const { session } = request.wanted;
    request.missed ??= this.#look(request);
    // Not fenced is the holder of a session that the asker would not get.
    if (!request.missed) return this.#decline(request, "cut");
    if (session.holder) {
      // It may be in other rooms when it lets go.
      request.missed = undefined;
      return this.#fence(request);
    }
    const portion = request.missed.take(PORTION_BYTES);
    if (!portion) return this.#decline(request, "cut");
    if (!portion.isLast) this.#sendPart(request, portion.packets);
    else if (!this.#sendAll(request, portion.packets)) this.#decline(request, "too-large");
  }

  /** What is missing of the session, if all of that is there. */
  #look(request: RestoreRequest): MissedPackets | undefined {
    const { namespaceId, rooms, validAfter } = request.wanted.session;
    const { offset } = request;
    if (validAfter !== undefined && sameOrder(offset, validAfter) && offset <= validAfter) return undefined;
    request.keys = this.#events.keysOf(request.wanted.session);
    return MissedPackets.since(offset, this.#journal, { namespaceId, rooms, keys: request.keys });
  }

  #fence(request: RestoreRequest): void {
    const { wanted } = request;
    request.state = "fencing";
    if (wanted.fence) return;
    this.#events.fence(wanted.session);
    wanted.fence = setTimeout(() => this.#events.passOver(wanted.session), FENCE_MS);
  }

  #sendPart(request: RestoreRequest, packets: readonly JournalEntry[]): void {
    request.state = "sending";
    request.packets += packets.length;
    // It may still be looking for them.
    if (packets.length > 0) writeMissed(request, request.wanted.session.namespaceId, packets);
  }

  /** @returns false when the session is too large */
  #sendAll(request: RestoreRequest, packets: readonly JournalEntry[]): boolean {
    const { from, wanted } = request;
    const { session } = wanted;
    const { maxMessageBytes } = this.#limits;
    if (!writeSession(request, session, packets, this.#journal.lastOffset, maxMessageBytes)) return false;
    this.#forget(request);
    this.#wanted.delete(session);
    for (const other of [...wanted.requests]) this.#decline(other, "overtaken");
    this.#events.onGiven(session, request, request.keys);
    const sent = request.packets + packets.length;
    this.#restored++;
    this.#resent += sent;
    if (channels.restore.hasSubscribers) {
      channels.restore.publish({ member: from.info, sid: session.sid, packets: sent });
    }
    return true;
  }

  #decline(request: RestoreRequest, reason: DeclineReason): void {
    this.#end(request);
    this.decline(request, request.wanted.session.namespaceId, reason);
  }

  /** The request gets nothing; who is behind it is next. */
  #end(request: RestoreRequest): void {
    const { wanted } = request;
    const wasNewest = wanted.requests.at(-1) === request;
    this.#forget(request);
    // Otherwise somebody has got it.
    if (this.#wanted.get(wanted.session) !== wanted) return;
    const next = wanted.requests.at(-1);
    if (next) {
      if (wasNewest) this.#enqueue(next);
      return;
    }
    clearTimeout(wanted.fence);
    this.#wanted.delete(wanted.session);
    this.#events.giveUp(wanted.session);
  }

  #forget(request: RestoreRequest): void {
    request.state = "over";
    request.wanted.requests.splice(request.wanted.requests.indexOf(request), 1);
    this.#lanes.get(request.from)?.byHandle.delete(request.handle);
  }

  #laneOf(member: HubMember): Lane {
    let lane = this.#lanes.get(member);
    if (!lane) {
      const pace = new LinkPace(member.outbox, this.#limits.maxBacklogBytes);
      lane = { byHandle: new Map(), queue: [], pace };
      this.#lanes.set(member, lane);
    }
    return lane;
  }
}

/** Whose turn it is. */
function nextOf({ queue }: Lane): RestoreRequest | undefined {
  while (queue[0] && queue[0].state !== "queued" && queue[0].state !== "sending") queue.shift();
  return queue[0];
}
