/**
 * The silence of both ends of a stream, before one of them goes on in another process: when both are silent, all that was sent
 * has come.
 * Owns: how far it is, and its timer. Runs in: workers, at both ends of a link.
 */
import { FrameType } from "../wire/link-frame.js";

/** How long nothing may come on the link until the other end is silent. */
const SILENT_MS = 1_000;
/** How long it may take in all: much may be on its way on the link before it hears of it. */
const HOLD_MS = 10_000;

export interface StreamHoldHost {
  tell(type: FrameType): void;
  /** Whether neither side has ended. */
  isWhole(): boolean;
  /** This end may send again. */
  onOpen(): void;
  /** How many times something has come on the link. */
  heard(): number;
  /** Nothing has. */
  onSilent(): void;
}

/**
 * asking: the other end was asked to be silent. resting: it is, and this end says how it goes on. held: this end is, and the
 * other one says. In all states but "open", no data leaves.
 *
 * open → asking → resting → open; asking → open; open | asking → held → open
 */
export class StreamHold {
  readonly #host: StreamHoldHost;
  #state: "open" | "asking" | "resting" | "held" = "open";
  /** How many answers are due. */
  #due = 0;
  /** Called when the other end is silent, or will not be. */
  #settle: ((isSilent: boolean) => void) | undefined;

  constructor(host: StreamHoldHost) {
    this.#host = host;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Whether both ends are silent, and this one says how it goes on. */
  get isResting(): boolean {
    return this.#state === "resting";
  }

  /** Whether this end is silent, and the other one says how it goes on. */
  get isHeld(): boolean {
    return this.#state === "held";
  }

  /** @returns whether the other end is silent */
  ask(): Promise<boolean> {
    if (this.#state !== "open" || !this.#host.isWhole()) return Promise.resolve(false);
    this.#state = "asking";
    this.#due++;
    this.#host.tell(FrameType.hold);
    return new Promise((resolve) => {
      let heard = this.#host.heard();
      let looks = HOLD_MS / SILENT_MS;
      const timer = setInterval(() => {
        const before = heard;
        heard = this.#host.heard();
        if (heard > before && --looks > 0) return;
        if (heard === before) this.#host.onSilent();
        this.release();
      }, SILENT_MS).unref();
      this.#settle = (isSilent) => {
        clearInterval(timer);
        this.#settle = undefined;
        resolve(isSilent);
      };
    });
  }

  /** Goes on as before. */
  release(): void {
    if (this.#state !== "asking" && this.#state !== "resting") return;
    this.#state = "open";
    this.#host.tell(FrameType.release);
    this.end();
    this.#host.onOpen();
  }

  /** There will be no silence. */
  end(): void {
    this.#settle?.(false);
  }

  /** The other end has asked. @param givesWay whether this end does so if it has asked, too */
  onHold(givesWay: boolean): void {
    this.#host.tell(FrameType.held);
    if (this.#state === "open") this.#state = "held";
    if (this.#state !== "asking" || !givesWay) return;
    this.#state = "held";
    // The other end may have given up its own question before it hears this one's: nobody else would release it.
    this.#host.tell(FrameType.release);
    this.end();
  }

  /** The other end is silent. */
  onHeld(): void {
    this.#due--;
    if (this.#state !== "asking" || this.#due > 0) return;
    if (!this.#host.isWhole()) return this.release();
    this.#state = "resting";
    this.#settle?.(true);
  }

  /** The other end goes on as before. */
  onRelease(): void {
    if (this.#state !== "held") return;
    this.#state = "open";
    this.#host.onOpen();
  }
}
