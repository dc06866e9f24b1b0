/**
 * A worker as the hub sees it.
 * Owns: its link, the reader, the queue and the outbox on it, and its claims. Runs in: where the hub is.
 */

import type { Link, LinkEvents } from "../link/contract.js";
import { Outbox } from "../link/outbox.js";
import { SendQueue } from "../link/send-queue.js";
import type { MemberInfo } from "../member-info.js";
import { FrameKind, memberFrame } from "../wire/frame.js";
import { FrameReader, type OnFrame } from "../wire/frame-reader.js";
import { Claims } from "./claims.js";
import type { FlowControl } from "./flow-control.js";
import { bankOf, bitOf, type Interest } from "./interest.js";

export type MakeLink = (events: LinkEvents) => Link;

export interface MemberLimits {
  readonly maxMessageBytes: number;
  readonly maxBacklogBytes: number;
}

export interface MemberEvents {
  onFrame: (member: HubMember, ...frame: Parameters<OnFrame>) => void;
  /** The frames since the last call are about to be overwritten. */
  onChunkEnd: () => void;
  onEnd: (member: HubMember) => void;
  onBroken: (member: HubMember, error: unknown) => void;
}

/** The process of a member. */
export interface MemberIdentity {
  /** The hub's name. */
  readonly host: string;
  readonly workerId: number;
  readonly pid: number;
}

/** A command on its way. */
interface ClaimedCommand {
  readonly claims: Claims | undefined;
  readonly keys: number[];
  readonly onSettled: (() => void) | undefined;
}

export class HubMember implements MemberInfo {
  readonly id: number;
  readonly host: string;
  readonly workerId: number;
  readonly pid: number;
  readonly slot: number;
  /** The slot, as masks have it. */
  readonly bank: number;
  readonly bit: number;
  readonly link: Link;
  readonly outbox: Outbox;
  /** Whether it only sends. */
  isEmitter = false;
  /** Recoverable packets that came from it, and how many of them have their place. */
  records = 0;
  placed = 0;
  /** Requests that were relayed to it and not answered yet. */
  unanswered = 0;
  framesIn = 0;
  bytesIn = 0;
  /** Packets of broadcasts that it was given. */
  delivered = 0;
  /** Volatile packets that were dropped because too much was waiting. */
  dropped = 0;
  /** How many seeds it was told since it has joined. */
  seedsTold = 0;
  /** How many of them it had heard when it made what has come from it. */
  seedsHeard = 0;
  /** Namespaces whose rooms it has not reported since it was told the last one. */
  readonly unreported = new Set<number>();
  /** Handles of sessions that it was given and may not have heard of, by namespace. */
  readonly #unheard = new Map<number, Set<number>>();
  /** Whether too much waits for it; {@link FlowControl} says so. */
  isFull = false;

  readonly #flow: FlowControl;
  readonly #queue: SendQueue;
  #state: "open" | "closed" = "open";
  #newKeys = new Set<number>();
  /** By the id of the namespace; of those that it has as a server. */
  readonly #claims = new Map<number, Claims>();
  /** What each command on its way claims, in the order in which it will carry them out. */
  readonly #claimQueue: ClaimedCommand[] = [];

  constructor(
    id: number,
    { host, workerId, pid }: MemberIdentity,
    slot: number,
    makeLink: MakeLink,
    limits: MemberLimits,
    flow: FlowControl,
    events: MemberEvents,
  ) {
    this.id = id;
    this.host = host;
    this.workerId = workerId;
    this.pid = pid;
    this.slot = slot;
    this.bank = bankOf(slot);
    this.bit = bitOf(slot);
    this.#flow = flow;
    const onFrame: OnFrame = (buffer, start, end) => {
      this.framesIn++;
      events.onFrame(this, buffer, start, end);
    };
    const reader = new FrameReader(onFrame, limits.maxMessageBytes, { inPlace: true });
    this.link = makeLink({
      onChunk: (chunk) => {
        this.bytesIn += chunk.length;
        try {
          reader.push(chunk);
        } catch (error) {
          events.onBroken(this, error);
        }
        events.onChunkEnd();
      },
      onTaken: () => this.#onTaken(),
      onEnd: () => events.onEnd(this),
    });
    this.#queue = new SendQueue(this.link, () => flow.onBlocked(this));
    this.outbox = new Outbox(this.#queue, { onFlushed: (bytes) => flow.onWaiting(this, bytes) });
  }

  /** Whether something sent to it may still arrive. */
  get isMember(): boolean {
    return this.#state === "open";
  }

  get info(): MemberInfo {
    return { id: this.id, workerId: this.workerId, pid: this.pid };
  }

  /** A room that is new to the hub, of a report that is not complete. */
  addNewKey(key: number): void {
    this.#newKeys.add(key);
  }

  /** The report is complete. */
  takeNewKeys(): Set<number> {
    const keys = this.#newKeys;
    if (keys.size > 0) this.#newKeys = new Set();
    return keys;
  }

  /** Its server has the namespace. */
  enter(namespaceId: number, interest: Interest): void {
    this.#claims.set(namespaceId, new Claims(interest, this.slot));
  }

  /** Keys are made with another seed: what it holds of the namespace is released, and nobody releases it again. */
  dropClaims(namespaceId: number, interest: Interest): void {
    this.#claims.get(namespaceId)?.drop();
    this.enter(namespaceId, interest);
  }

  /** Whether the keys of its frames are made with a seed that is not used any more. */
  get isBehindSeed(): boolean {
    return this.seedsHeard !== this.seedsTold;
  }

  /** It was given a session, and may not have heard of it before {@link hears}. */
  awaitHearing(namespaceId: number, handle: number): void {
    const unheard = this.#unheard.get(namespaceId);
    if (unheard) unheard.add(handle);
    else this.#unheard.set(namespaceId, new Set([handle]));
  }

  hears(namespaceId: number, handle: number): void {
    const unheard = this.#unheard.get(namespaceId);
    if (unheard?.delete(handle) && unheard.size === 0) this.#unheard.delete(namespaceId);
  }

  /** Whether it has sessions of the namespace that it may not have heard of. */
  hasUnheard(namespaceId: number): boolean {
    return this.#unheard.has(namespaceId);
  }

  /** Its server has closed the namespace. */
  exit(namespaceId: number): void {
    this.#unheard.delete(namespaceId);
    this.unreported.delete(namespaceId);
    this.#claims.get(namespaceId)?.drop();
    this.#claims.delete(namespaceId);
  }

  /** Bytes that have left the outbox and that the system has not taken. */
  get pendingBytes(): number {
    return this.#queue.pendingBytes;
  }

  /** Grows whenever the member takes something, or gives a sign of life. */
  get progress(): number {
    return this.#queue.takenBytes + this.bytesIn;
  }

  /** Passes on a frame of `from`: {@link Outbox.relay}. If too much waits here, `from` hears of it. */
  relay(from: HubMember, buffer: Buffer, start: number, end: number): void {
    this.outbox.relay(buffer, start, end);
    if (this.isFull) this.#flow.onExcess(from, this);
  }

  /** Passes on a packet of `from`, as {@link relay} does. */
  deliver(from: HubMember, buffer: Buffer, start: number, end: number): void {
    this.delivered++;
    this.relay(from, buffer, start, end);
  }

  /** Passes on a packet that nobody here need hear of: of another host, or a late one. */
  deliverQuietly(buffer: Buffer, start: number, end: number): void {
    this.delivered++;
    this.outbox.relay(buffer, start, end);
  }

  /** Keys are made with this seed from now on. */
  tellSeed(seed: string): void {
    this.seedsTold++;
    // They are of a report that is not complete.
    this.takeNewKeys();
    this.outbox.begin(FrameKind.seed, 0, 0);
    this.outbox.text(seed);
    this.outbox.end();
  }

  /** The hub acts on all interest up to this frame. */
  sync(sequence: number): void {
    if (!this.isMember) return;
    this.outbox.begin(FrameKind.synced, 0, 0);
    this.outbox.u32(sequence);
    this.outbox.end();
  }

  /** Says something of another member, ahead of all that waits. */
  tell(kind: number, about: number): void {
    this.#queue.writeAhead(memberFrame(kind, about));
  }

  #onTaken(): void {
    this.#queue.onTaken();
    if (this.isFull) this.#flow.onTaken(this);
  }

  /**
   * Acts as if the member had joined these rooms until it has carried out the command that names them.
   * @param onSettled called then, or when the member is gone
   */
  claim(namespaceId: number, keys: number[], onSettled?: () => void): void {
    const claims = this.#claims.get(namespaceId);
    this.#claimQueue.push({ claims, keys, onSettled });
    claims?.hold(keys);
  }

  /**
   * The oldest command with claims has been carried out; the member has reported before what changed by it.
   */
  settleClaim(): void {
    const settled = this.#claimQueue.shift();
    settled?.claims?.release(settled.keys);
    settled?.onSettled?.();
  }

  /** Acts as if the member had joined these rooms until they are released as often as they were held. */
  hold(namespaceId: number, keys: Iterable<number>): void {
    this.#claims.get(namespaceId)?.hold(keys);
  }

  release(namespaceId: number, keys: Iterable<number>): void {
    this.#claims.get(namespaceId)?.release(keys);
  }

  /** Says that the hub is being closed, behind everything that waits, and releases the link. */
  dismiss(): void {
    this.#state = "closed";
    this.outbox.begin(FrameKind.goodbye, 0, 0);
    this.outbox.end();
    this.outbox.flush();
    this.outbox.discard();
    this.#queue.giveAll();
    this.link.end();
  }

  /** Releases the link; nothing is sent or received any more. */
  close(): void {
    this.#state = "closed";
    this.outbox.discard();
    this.#queue.discard();
    this.link.close();
    for (const { onSettled } of this.#claimQueue.splice(0)) onSettled?.();
  }
}
