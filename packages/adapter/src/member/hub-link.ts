/**
 * A member's link to the hub, while it stands: what is written to it and what is read of it.
 * Owns: the link, the outbox and the reader on it. Runs in: workers; in the primary for its emitters.
 */
import { HoldfastError } from "../errors.js";
import type { Link, LinkEvents } from "../link/contract.js";
import { Outbox } from "../link/outbox.js";
import { FrameKind, VOLATILE_SHARE } from "../wire/frame.js";
import { FrameReader, type OnFrame } from "../wire/frame-reader.js";

/** What the hub says to a member that it admits. */
export interface Admission {
  /** The member's id in the hub. */
  readonly member: number;
  readonly maxMessageBytes: number;
  readonly maxBacklogBytes: number;
  /** What the hub's room keys are made with. */
  readonly roomSeed: string;
}

export interface HubLinkEvents {
  onFrame: OnFrame;
  /** The hub is gone, or what it sends cannot be read. The link is useless from now on. */
  onLost(cause?: HoldfastError): void;
  /** More than the allowed backlog is waiting. Called again only after it has become less. */
  onFull(error: HoldfastError): void;
  /** What is on the outbox is about to be written. */
  onFlush(): void;
  /** Gets the work on each chunk of frames to do, so that what it leads to can be put together. */
  workOff(work: () => void): void;
}

export class HubLink {
  readonly memberId: number;
  readonly roomSeed: string;
  readonly maxMessageBytes: number;
  readonly outbox: Outbox;
  readonly #link: Link;
  readonly #maxBacklogBytes: number;
  #isFullTold = false;

  constructor(admission: Admission, makeLink: (events: LinkEvents) => Link, events: HubLinkEvents) {
    this.memberId = admission.member;
    this.roomSeed = admission.roomSeed;
    this.maxMessageBytes = admission.maxMessageBytes;
    this.#maxBacklogBytes = admission.maxBacklogBytes;
    const reader = new FrameReader(events.onFrame, admission.maxMessageBytes);
    this.#link = makeLink({
      onChunk: (chunk) => {
        try {
          events.workOff(() => reader.push(chunk));
        } catch (error) {
          events.onLost(error as HoldfastError);
        }
      },
      onEnd: () => events.onLost(),
    });
    this.outbox = new Outbox(this.#link, admission.maxBacklogBytes, {
      onFull: () => {
        // Once until the backlog has become less, not at every flush.
        if (this.#isFullTold) return;
        this.#isFullTold = true;
        events.onFull(this.fullError());
      },
      onFlush: () => events.onFlush(),
    });
  }

  get kind(): string {
    return this.#link.kind;
  }

  /**
   * Completes the frame that is being built.
   * @throws {HoldfastError} `HOLDFAST_ERR_MESSAGE_TOO_LARGE`; the frame is dropped
   */
  endFrame(): void {
    if (this.outbox.builtBytes <= this.maxMessageBytes) return this.outbox.end();
    this.outbox.abort();
    throw new HoldfastError(
      "HOLDFAST_ERR_MESSAGE_TOO_LARGE",
      `The message is larger than ${this.maxMessageBytes} bytes. Send less, or raise maxMessageBytes of ` +
        "setupPrimary() of @holdfast/adapter.",
    );
  }

  /** Whether more than the allowed backlog waits for the hub; volatile packets are allowed less. */
  isFull(isVolatile: boolean): boolean {
    const share = isVolatile ? VOLATILE_SHARE : 1;
    const isFull = this.outbox.backlogBytes > this.#maxBacklogBytes * share;
    if (!isFull && !isVolatile) this.#isFullTold = false;
    return isFull;
  }

  fullError(): HoldfastError {
    return new HoldfastError(
      "HOLDFAST_ERR_BACKLOG_FULL",
      `The primary does not take this worker's messages: more than ${this.#maxBacklogBytes} bytes wait. ` +
        "Messages to other workers are dropped until it does. Look for what blocks the primary's event loop.",
    );
  }

  /** Says goodbye, sends what waits, and closes. */
  leave(): void {
    this.outbox.begin(FrameKind.leave, 0, 0);
    this.outbox.u32(this.memberId);
    this.outbox.end();
    this.outbox.flush();
    this.outbox.discard();
    this.#link.end();
  }

  close(): void {
    this.outbox.discard();
    this.#link.close();
  }
}
