/**
 * A member's link to the hub, while it stands: what is written to it and what is read of it.
 * Owns: the link, what waits for it (it goes even when the process exits), and the reader on it.
 * Runs in: workers; in the primary for its emitters.
 */
import { HoldfastError } from "../errors.js";
import type { Link, LinkEvents } from "../link/contract.js";
import type { Outbox } from "../link/outbox.js";
import { FrameKind } from "../wire/frame.js";
import { FrameReader, type OnFrame } from "../wire/frame-reader.js";
import { atExit } from "./at-exit.js";
import { Backlog } from "./backlog.js";
import { Outgoing } from "./outgoing.js";
import { SignOfLife } from "./sign-of-life.js";

/**
 * How large what other hosts send may be: they may allow more than this one does, and Redis takes nothing that is larger.
 * Text that somebody else writes to the link still shows: read as a length, it is more than this.
 */
const MAX_FOREIGN_BYTES = 2 ** 29 - 1;

/** What the hub says to a member that it admits. */
export interface Admission {
  /** The member's id in the hub. */
  readonly member: number;
  /** For what is sent from here. */
  readonly maxMessageBytes: number;
  readonly maxBacklogBytes: number;
  /** Names what joins the hub with those of other hosts; "" if nothing does. */
  readonly backplane: string;
  /** What the hub's room keys are made with. */
  readonly roomSeed: string;
  /** Names the hub: no other one, of any time, has that name. */
  readonly hub: string;
}

export interface HubLinkEvents {
  /** Something has come, whatever it is. */
  onHeard(): void;
  onFrame: OnFrame;
  /** The hub is gone, or what it sends cannot be read. The link is useless from now on. */
  onLost(cause?: HoldfastError): void;
  /** Broadcasts are dropped for lack of room. Called again only after there was room. */
  onFull(error: HoldfastError): void;
  /** What waits is about to be written. */
  onFlush(): void;
  /** Gets the work on each chunk of frames to do, so that what it leads to can be put together. */
  workOff(work: () => void): void;
}

/** Of those that the hub sends. */
function longestFrame({ maxMessageBytes, backplane }: Admission): number {
  return backplane === "" ? maxMessageBytes : Math.max(maxMessageBytes, MAX_FOREIGN_BYTES);
}

export class HubLink {
  readonly memberId: number;
  roomSeed: string;
  /** How many seeds the hub has told since. */
  seeds = 0;
  readonly maxMessageBytes: number;
  readonly outgoing: Outgoing;
  readonly backlog: Backlog;
  readonly #link: Link;
  readonly #dropExit: () => void;
  /** Where the frame is that was begun last. */
  #building: Outbox | undefined;

  constructor(admission: Admission, makeLink: (events: LinkEvents) => Link, events: HubLinkEvents) {
    this.memberId = admission.member;
    this.roomSeed = admission.roomSeed;
    this.maxMessageBytes = admission.maxMessageBytes;
    const signOfLife = new SignOfLife(() => this.#sayAlive());
    const onFrame: OnFrame = (buffer, start, end) => {
      events.onFrame(buffer, start, end);
      signOfLife.step();
    };
    const reader = new FrameReader(onFrame, longestFrame(admission));
    this.#link = makeLink({
      onChunk: (chunk) => {
        events.onHeard();
        signOfLife.begin(chunk.length);
        try {
          events.workOff(() => reader.push(chunk));
        } catch (error) {
          events.onLost(error as HoldfastError);
        }
        signOfLife.end();
      },
      onTaken: () => this.outgoing.onTaken(),
      onEnd: () => events.onLost(),
    });
    this.outgoing = new Outgoing(this.#link, () => events.onFlush());
    // The end of the turn does not come then.
    this.#dropExit = atExit(() => this.outgoing.flush());
    this.backlog = new Backlog(admission.maxBacklogBytes, this.outgoing, (error) => events.onFull(error));
  }

  get kind(): string {
    return this.#link.kind;
  }

  begin(kind: number, flags: number, namespaceId: number): Outbox {
    return this.#begin(this.outgoing.for(kind), kind, flags, namespaceId);
  }

  /** Begins a `response`. */
  beginAnswer(asker: number, flags: number, namespaceId: number): Outbox {
    return this.#begin(this.outgoing.forAnswerTo(asker), FrameKind.response, flags, namespaceId);
  }

  #begin(outbox: Outbox, kind: number, flags: number, namespaceId: number): Outbox {
    this.#building = outbox;
    outbox.begin(kind, flags, namespaceId);
    return outbox;
  }

  /**
   * Completes the frame that is being built.
   * @throws {HoldfastError} `HOLDFAST_ERR_MESSAGE_TOO_LARGE`; the frame is dropped
   */
  endFrame(): void {
    const outbox = this.#building;
    if (!outbox) return;
    if (outbox.builtBytes <= this.maxMessageBytes) return outbox.end();
    outbox.abort();
    throw new HoldfastError(
      "HOLDFAST_ERR_MESSAGE_TOO_LARGE",
      `The message is larger than ${this.maxMessageBytes} bytes. Send less, or raise maxMessageBytes where ` +
        "the hub is.",
    );
  }

  #sayAlive(): void {
    this.begin(FrameKind.alive, 0, 0).end();
    this.outgoing.flush();
  }

  /** Asks the hub for a sign. */
  ping(): void {
    this.begin(FrameKind.ping, 0, 0).end();
    this.outgoing.flush();
  }

  /** Says goodbye, sends what waits, and closes. */
  leave(): void {
    this.#dropExit();
    const outbox = this.begin(FrameKind.leave, 0, 0);
    outbox.u32(this.memberId);
    outbox.end();
    this.outgoing.giveAll();
    this.outgoing.discard();
    this.#link.end();
  }

  close(): void {
    this.#dropExit();
    this.outgoing.discard();
    this.#link.close();
  }
}
