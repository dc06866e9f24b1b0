/**
 * A worker as the hub sees it.
 * Owns: its link, the reader and the outbox on it, and its claims. Runs in: primary.
 */
import type { MemberInfo } from "../errors.js";
import type { Link, LinkEvents } from "../link/contract.js";
import { Outbox } from "../link/outbox.js";
import { FrameReader, type OnFrame } from "../wire/frame-reader.js";
import type { Interest } from "./interest.js";

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
  onStalled: (member: HubMember) => void;
}

/** The process of a member. */
export interface MemberIdentity {
  /** The hub's name. */
  readonly host: string;
  readonly workerId: number;
  readonly pid: number;
}

export class HubMember implements MemberInfo {
  readonly id: number;
  readonly host: string;
  readonly workerId: number;
  readonly pid: number;
  readonly slot: number;
  readonly link: Link;
  readonly outbox: Outbox;
  /** Recoverable packets that came from it, and how many of them have their place. */
  records = 0;
  placed = 0;
  /** Requests that were relayed to it and not answered yet. */
  unanswered = 0;
  framesIn = 0;
  bytesIn = 0;
  /** Volatile packets that were dropped because too much was waiting. */
  dropped = 0;

  readonly #interest: Interest;
  #state: "open" | "closed" = "open";
  /** Rooms that commands on their way may make it join: how many commands, by key. */
  readonly #claims = new Map<number, number>();
  /** The keys of each such command, in the order in which it will carry them out. */
  readonly #claimQueue: number[][] = [];

  constructor(
    id: number,
    { host, workerId, pid }: MemberIdentity,
    slot: number,
    makeLink: MakeLink,
    limits: MemberLimits,
    interest: Interest,
    events: MemberEvents,
  ) {
    this.id = id;
    this.host = host;
    this.workerId = workerId;
    this.pid = pid;
    this.slot = slot;
    this.#interest = interest;
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
      onEnd: () => events.onEnd(this),
    });
    this.outbox = new Outbox(this.link, limits.maxBacklogBytes, {
      onFull: () => events.onStalled(this),
    });
  }

  /** Whether something sent to it may still arrive. */
  get isMember(): boolean {
    return this.#state === "open";
  }

  get info(): MemberInfo {
    return { id: this.id, workerId: this.workerId, pid: this.pid };
  }

  /** Acts as if the member had joined these rooms until it has carried out the command that names them. */
  claim(keys: number[]): void {
    this.#claimQueue.push(keys);
    this.hold(keys);
  }

  /**
   * The oldest command with claims has been carried out; the member has reported before what changed by it.
   */
  settleClaim(): void {
    this.release(this.#claimQueue.shift() ?? []);
  }

  /** Acts as if the member had joined these rooms until they are released as often as they were held. */
  hold(keys: Iterable<number>): void {
    for (const key of keys) {
      const count = this.#claims.get(key) ?? 0;
      this.#claims.set(key, count + 1);
      if (count === 0) this.#interest.claim(this.slot, key);
    }
  }

  release(keys: Iterable<number>): void {
    for (const key of keys) {
      const count = this.#claims.get(key) ?? 0;
      if (count > 1) {
        this.#claims.set(key, count - 1);
        continue;
      }
      this.#claims.delete(key);
      this.#interest.unclaim(this.slot, key);
    }
  }

  /** Releases the link; nothing is sent or received any more. */
  close(): void {
    this.#state = "closed";
    this.outbox.discard();
    this.link.close();
  }
}
