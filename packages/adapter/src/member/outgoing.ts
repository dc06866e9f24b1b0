/**
 * What a member sends. While the link takes everything, that is one stream. When it does not, or when the hub asks
 * for it, there are two, each with its own order:
 * - in order: what goes to other members, and `count` and `leave`, which say that what was sent before has gone. The
 *   hub may have it held back;
 * - ahead: what the hub itself acts on, and answers. It does not wait behind the other.
 * Owns: the queue and the outboxes on the link. Runs in: workers; in the primary for its emitters.
 */
import type { Link, Sink } from "../link/contract.js";
import { Outbox } from "../link/outbox.js";
import { SendQueue } from "../link/send-queue.js";
import { FrameKind } from "../wire/frame.js";

export class Outgoing implements Sink {
  readonly #queue: SendQueue;
  readonly #ordered: Outbox;
  /** For what goes ahead, once it has to. */
  #ahead: Outbox | undefined;
  /** Whether something waits for the next flush that clients may be told of. */
  #hasDeeds = false;
  /** What the frame is that was put on `#ordered` last. */
  #last: "in order" | "ahead" = "in order";
  /** Members that the hub cannot send more to now. */
  readonly #full = new Set<number>();
  /** Members some of whose answers wait among what is in order; later answers must not pass them. */
  readonly #answersInOrder = new Set<number>();

  /** @param onFlush a flush begins: frames that were put off go with it */
  constructor(link: Link, onFlush: () => void) {
    this.#queue = new SendQueue(link);
    this.#ordered = new Outbox(this, {
      onFlush: () => {
        this.#hasDeeds = false;
        this.#saveTail();
        onFlush();
        this.#saveTail();
        this.#ahead?.flush();
      },
    });
  }

  /** What the outbox of what is in order sees of the queue. */
  get pendingBytes(): number {
    return this.#queue.pendingBytes;
  }

  /** Called by the outbox of what is in order; a large frame makes it write in between flushes. */
  write(chunks: readonly Buffer[]): void {
    // What was put on the other one was made before.
    this.#ahead?.flush();
    this.#queue.write(chunks);
  }

  /** Bytes that wait here and in the link. */
  get backlogBytes(): number {
    return this.#ordered.backlogBytes;
  }

  /** The outbox for a frame of this kind. */
  for(kind: number): Outbox {
    const outbox = isInOrder(kind) ? this.#inOrder : this.ahead;
    if (isDeed(kind)) this.#hasDeeds = true;
    return outbox;
  }

  /** The outbox for an answer to this member. */
  forAnswerTo(asker: number): Outbox {
    this.#hasDeeds = true;
    const { ahead } = this;
    if (ahead === this.#ordered) return ahead;
    if (!this.#full.has(asker) && !this.#answersInOrder.has(asker)) return ahead;
    this.#answersInOrder.add(asker);
    return this.#inOrder;
  }

  get #inOrder(): Outbox {
    this.#saveTail();
    this.#last = "in order";
    return this.#ordered;
  }

  /** The outbox for what goes ahead: the one stream, as long as it flows. So nothing of this is ever held back. */
  get ahead(): Outbox {
    this.#saveTail();
    if (this.#queue.isFlowing && (this.#ahead?.isFlushed ?? true)) {
      if (this.#answersInOrder.size > 0) this.#answersInOrder.clear();
      this.#last = "ahead";
      return this.#ordered;
    }
    // A copy: these bytes are taken in another order than they were counted in.
    this.#ahead ??= new Outbox({
      pendingBytes: 0,
      write: (chunks) => this.#queue.writeAhead(Buffer.concat(chunks)),
    });
    return this.#ahead;
  }

  /**
   * A frame that outgrows the batch has what was before it written, and with that the queue may stop flowing. If it is
   * one that goes ahead, it must not stay behind: the next ones would pass it.
   */
  #saveTail(): void {
    if (this.#last === "in order" || this.#queue.isFlowing || this.#ordered.isFlushed) return;
    this.#queue.writeAhead(this.#ordered.take());
  }

  /** Hands everything to the queue now. */
  flush(): void {
    this.#ordered.flush();
  }

  /** Does so if something waits that clients may be told of: what goes to others, or changes their sessions. */
  flushDeeds(): void {
    if (this.#hasDeeds) this.flush();
  }

  /** Does so at the end of this turn of the event loop. */
  schedule(): void {
    this.#ordered.schedule();
  }

  /** The link says that the system has taken something. */
  onTaken(): void {
    this.#queue.onTaken();
  }

  /** The hub says that too much waits for a member. */
  hold(member: number): void {
    // What was written while the queue was flowing is not to be held back.
    if (this.#full.size === 0) this.#ordered.flush();
    this.#full.add(member);
    this.#queue.hold();
  }

  /** It has taken enough, or is gone. */
  release(member: number): void {
    if (this.#full.delete(member) && this.#full.size === 0) this.#queue.release();
  }

  /** Gives everything to the link, also what is held back. */
  giveAll(): void {
    this.#ordered.flush();
    this.#queue.giveAll();
  }

  /** Forgets what waits; nothing is written any more. */
  discard(): void {
    this.#ordered.discard();
    this.#ahead?.discard();
    this.#queue.discard();
  }
}

/** Whether a client can be told that this was done. */
function isDeed(kind: number): boolean {
  return isInOrder(kind) || kind === FrameKind.sessionRooms || kind === FrameKind.sessionEnd;
}

function isInOrder(kind: number): boolean {
  switch (kind) {
    case FrameKind.broadcast:
    case FrameKind.record:
    case FrameKind.command:
    case FrameKind.request:
    case FrameKind.count:
    case FrameKind.leave:
    // A session goes after what was sent to its rooms before: that has reached its socket here.
    case FrameKind.sessionMove:
    case FrameKind.sessionForward:
    case FrameKind.sessionLost:
    case FrameKind.sessionHeard:
    case FrameKind.reseeded:
      return true;
    default:
      return false;
  }
}
