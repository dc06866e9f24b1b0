/**
 * Senders are slowed down before receivers are cut off. Whoever sends to a member for which too much waits is told
 * to hold back until that has become less; a member that takes nothing meanwhile has stalled.
 * Owns: who is full and who was told so, and the clock by which members are silent. Runs in: where the hub is.
 *
 * The hub goes on reading all links: what a worker says of itself, its questions and its answers pass those who
 * are held back. A member reads its link whatever it has to send itself, so nobody waits for each other in a circle.
 */
import { FrameKind } from "../wire/frame.js";
import type { HubMember } from "./hub-member.js";

/** A full member has room again when no more than this part of the allowed backlog waits. */
const ROOM_SHARE = 3 / 4;

/**
 * Silence is counted in ticks, this many for `stallTimeout`: however long this process itself stands still, that
 * is one tick for everybody.
 */
const TICKS = 20;

export interface FlowLimits {
  readonly maxBacklogBytes: number;
  readonly stallTimeout: number;
}

interface Silence {
  /** {@link HubMember.progress} at the last tick. */
  progress: number;
  /** For how many ticks it has been the same. */
  ticks: number;
}

export class FlowControl {
  readonly #maxBytes: number;
  readonly #roomBytes: number;
  readonly #tickMs: number;
  readonly #onStalled: (member: HubMember) => void;
  /** Members for which something waits. */
  readonly #silences = new Map<HubMember, Silence>();
  /** Full members, and who was told. */
  readonly #told = new Map<HubMember, Set<HubMember>>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ maxBacklogBytes, stallTimeout }: FlowLimits, onStalled: (member: HubMember) => void) {
    this.#maxBytes = maxBacklogBytes;
    this.#roomBytes = maxBacklogBytes * ROOM_SHARE;
    this.#tickMs = Math.ceil(stallTimeout / TICKS);
    this.#onStalled = onStalled;
  }

  /** The member's link does not take what is written any more. */
  onBlocked(member: HubMember): void {
    if (this.#silences.has(member)) return;
    this.#silences.set(member, { progress: member.progress, ticks: 0 });
    this.#timer ??= setTimeout(() => this.#onTick(), this.#tickMs).unref();
  }

  /** So many bytes wait for the member. */
  onWaiting(member: HubMember, bytes: number): void {
    if (bytes <= this.#maxBytes || member.isFull) return;
    member.isFull = true;
    this.#told.set(member, new Set());
  }

  /** A frame of `sender` waits behind what is too much for `receiver` already. */
  onExcess(sender: HubMember, receiver: HubMember): void {
    const told = this.#told.get(receiver);
    if (!told || told.has(sender)) return;
    told.add(sender);
    sender.tell(FrameKind.hold, receiver.id);
  }

  /** The system has taken something of what waits for a full member. */
  onTaken(member: HubMember): void {
    if (member.pendingBytes <= this.#roomBytes) this.#relieve(member);
  }

  /** The member is gone. */
  forget(member: HubMember): void {
    this.#relieve(member);
    this.#silences.delete(member);
    for (const told of this.#told.values()) told.delete(member);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#silences.clear();
    this.#told.clear();
  }

  #relieve(member: HubMember): void {
    member.isFull = false;
    const told = this.#told.get(member);
    this.#told.delete(member);
    for (const sender of told ?? []) if (sender.isMember) sender.tell(FrameKind.release, member.id);
  }

  #onTick(): void {
    this.#timer = undefined;
    const stalled: HubMember[] = [];
    for (const [member, silence] of this.#silences) {
      if (member.pendingBytes === 0) this.#silences.delete(member);
      else if (this.#isSilent(member, silence) && member.isFull) stalled.push(member);
    }
    for (const member of stalled) this.#onStalled(member);
    if (this.#silences.size > 0) this.#timer = setTimeout(() => this.#onTick(), this.#tickMs).unref();
  }

  #isSilent({ progress }: HubMember, silence: Silence): boolean {
    silence.ticks = progress === silence.progress ? silence.ticks + 1 : 0;
    silence.progress = progress;
    // One more: the first began before its tick.
    return silence.ticks > TICKS;
  }
}
