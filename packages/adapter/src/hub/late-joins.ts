/**
 * A join counts from the call: what came for the room before the hub heard of it is sent on.
 * Owns: the recent frames, and what it counts. Runs in: where the hub is.
 *
 * A frame is kept if a member did not get it that may yet say that it was in its rooms, or in its namespace, by then.
 */
import { frameKey, frameKeyCount, hasVoidKeys } from "../wire/frame.js";
import { machineTime } from "../wire/machine-time.js";
import type { HubMember } from "./hub-member.js";
import { type Missed, RecentFrames } from "./recent-frames.js";

/** Passes a frame on to one member. @param keys of the rooms that the member is asked for; may be added to */
export type SendOn = (
  member: HubMember,
  buffer: Buffer,
  start: number,
  end: number,
  keys: Set<number>,
) => void;

export class LateJoins {
  readonly #frames = new RecentFrames();
  readonly #sendOn: SendOn;
  /** Keys of frames up to this time say nothing. */
  #voidUpTo = Number.NEGATIVE_INFINITY;
  /** Members that do not only send. */
  #receivers = 0;
  /** Frames that were sent on. */
  sentOn = 0;
  /** Reports that came so late that some of what they ask for may be gone. */
  tooLate = 0;

  constructor(sendOn: SendOn) {
    this.#sendOn = sendOn;
  }

  /** A member has joined the hub. @param banks how many banks the slots of all members are in */
  onJoin(banks: number): void {
    this.#receivers++;
    this.#frames.growTo(banks);
  }

  /** A member has left the hub, or turns out to do nothing but send. */
  onLeave(): void {
    this.#receivers--;
  }

  /** A frame has gone to these, among which its sender is not. */
  onFrame(from: HubMember, buffer: Buffer, start: number, end: number, targets: readonly HubMember[]): void {
    const others = from.isEmitter ? this.#receivers : this.#receivers - 1;
    if (targets.length < others) this.#frames.keep(from.id, buffer, start, end, targets);
  }

  /** The frames since the last call are about to be overwritten. */
  onChunkEnd(): void {
    this.#frames.endChunk();
  }

  /** Whether it is worth knowing what rooms a report of joins since then is about. 0: nobody knows yet. */
  isWatched(since: number): boolean {
    return since === 0 || this.#frames.hasSince(since) || this.#frames.lacksSince(since);
  }

  /** Since then the member has been in rooms that the hub has not known of. */
  onReported(member: HubMember, namespaceId: number, keys: Set<number>, since: number): void {
    if (keys.size === 0 && since > this.#voidUpTo) return;
    // With void keys it may be for any of its rooms: the member knows.
    const isFor = (buffer: Buffer, start: number) =>
      hasVoidKeys(buffer, start) || hasOneOf(keys, buffer, start);
    this.#send(member, { namespaceId, since, isFor }, keys);
  }

  /** Since then the member has had a server of the namespace that the hub has not known of. */
  onOpened(member: HubMember, namespaceId: number, getsAll: boolean, since: number): void {
    // What it was sent before went to an earlier server.
    this.#frames.takeBack(member, { namespaceId, since });
    const keys = new Set<number>();
    const isForAll = (buffer: Buffer, start: number) =>
      getsAll || (frameKeyCount(buffer, start) === 0 && !hasVoidKeys(buffer, start));
    const isFor = (buffer: Buffer, start: number) => isForAll(buffer, start) || hasOneOf(keys, buffer, start);
    this.#send(member, { namespaceId, since, isFor }, keys);
  }

  /** Keys are made with another seed from now on. */
  voidKeys(): void {
    this.#voidUpTo = machineTime();
    this.#frames.voidKeys();
  }

  close(): void {
    this.#frames.close();
  }

  /** @param keys of its rooms, which what is sent on may add to */
  #send(member: HubMember, missed: Missed, keys: Set<number>): void {
    if (this.#frames.lacksSince(missed.since)) this.tooLate++;
    this.#frames.giveMissed(member, missed, (buffer, start, end) => {
      this.sentOn++;
      this.#sendOn(member, buffer, start, end, keys);
    });
    // What is kept may be overwritten from now on.
    member.outbox.endRun();
  }
}

function hasOneOf(keys: ReadonlySet<number>, buffer: Buffer, start: number): boolean {
  const count = frameKeyCount(buffer, start);
  for (let i = 0; i < count; i++) if (keys.has(frameKey(buffer, start, i))) return true;
  return false;
}
