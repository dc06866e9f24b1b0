/**
 * Whether the hub still says something. A member that has heard nothing for a while asks it for a sign; if none comes, the
 * hub is told to be silent, and who need not wait for it goes on.
 * Owns: the timer of its ticks, and those who wait for the hub unless it is silent. Runs in: workers.
 *
 * Silence is counted in ticks of this process that came on time: a hub cannot be heard while the process itself stands
 * still, for however long that is.
 */
import { HoldfastError } from "../errors.js";
import { afterSilence } from "../silence.js";

const TICK_MS = 1_000;
/** A tick that comes so long after the one before says nothing about the hub. */
const LATE_MS = 2 * TICK_MS;
/** After so many quiet ticks the hub is asked. */
const ASK_TICKS = 3;
/** So many more without an answer, and it is told to be silent. */
const ANSWER_TICKS = 10;

/**
 * off: there is no hub in another process. heard: it has said something lately. asked: it has not, and was asked for a
 * sign. silent: it has given none, and that was told.
 *
 * off → heard → asked → silent; asked and silent → heard; any state → off
 */
type State = "off" | "heard" | "asked" | "silent";

export interface HubWatchEvents {
  /** Asks the hub to say something, whatever it is. */
  ask(): void;
  /** It does not answer. Called again only after it was heard. */
  onSilent(): void;
}

export class HubWatch {
  readonly #events: HubWatchEvents;
  readonly #now: () => number;
  #state: State = "off";
  /** Whether something came since the last tick. */
  #isHeard = false;
  /** Ticks on time since something came. */
  #quietTicks = 0;
  #tickedAt = 0;
  #endTick = () => {};
  readonly #waiting = new Set<() => void>();

  constructor(events: HubWatchEvents, now: () => number = () => performance.now()) {
    this.#events = events;
    this.#now = now;
  }

  /** The hub has admitted this member. */
  start(): void {
    this.#onHeard();
    this.#awaitTick();
  }

  /** There is no hub any more. */
  stop(): void {
    this.#endTick();
    this.#state = "off";
  }

  /** The hub has said something. Hot. */
  heard(): void {
    this.#isHeard = true;
  }

  /** Settles when `known` does, which waits for the hub; or as soon as the hub is told to be silent. */
  orSilent(known: Promise<unknown>): Promise<void> {
    if (this.#state === "silent") return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
      void known.then(() => {
        this.#waiting.delete(resolve);
        resolve();
      });
    });
  }

  #awaitTick(): void {
    this.#endTick();
    this.#tickedAt = this.#now();
    // What has arrived meanwhile is read before.
    this.#endTick = afterSilence(TICK_MS, () => this.#onTick());
  }

  #onTick(): void {
    const isOnTime = this.#now() - this.#tickedAt < LATE_MS;
    this.#awaitTick();
    if (this.#isHeard) return this.#onHeard();
    if (!isOnTime) return;
    this.#quietTicks++;
    if (this.#state === "heard" && this.#quietTicks === ASK_TICKS) this.#onQuiet();
    else if (this.#state === "asked" && this.#quietTicks === ASK_TICKS + ANSWER_TICKS) this.#onSilent();
  }

  #onHeard(): void {
    this.#state = "heard";
    this.#isHeard = false;
    this.#quietTicks = 0;
  }

  #onQuiet(): void {
    this.#state = "asked";
    this.#events.ask();
  }

  #onSilent(): void {
    this.#state = "silent";
    for (const goOn of this.#waiting) goOn();
    this.#waiting.clear();
    // Last: the application may throw in it.
    this.#events.onSilent();
  }
}

/** @param place where the hub is */
export function hubSilent(place: string): HoldfastError {
  return new HoldfastError(
    "HOLDFAST_ERR_NO_HUB",
    `The hub ${place} does not answer: it was asked ${(ANSWER_TICKS * TICK_MS) / 1_000} s ago. Look for what blocks or ` +
      "stops its process, or end it. Meanwhile new clients can connect here, and without connectionStateRecovery this " +
      "process's messages reach its own clients. What needs the hub waits, and is carried out when it goes on: messages " +
      "to others, awaited joins, clients that want their sessions back, and with connectionStateRecovery all events. " +
      "Requests end with HOLDFAST_ERR_REQUEST_TIMEOUT.",
  );
}
