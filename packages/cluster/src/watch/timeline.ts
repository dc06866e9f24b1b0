/**
 * What happened lately, as people read it.
 * Owns: the last events. Runs in: primary.
 */
import type { EventKind, Health, TimelineEvent } from "../live-status.js";

const MAX_EVENTS = 100;
/** What happens again within so long is one event that has happened so often. */
const AGAIN_MS = 10 * 60_000;
const MAX_DETAIL_LENGTH = 2_000;

export interface Happening {
  readonly kind: EventKind;
  readonly health: Health;
  readonly text: string;
  readonly detail?: string;
  /** What is the same thing again. @default the text */
  readonly key?: string;
}

export class Timeline {
  /** The newest first. */
  readonly #events: (TimelineEvent & { readonly key: string; readonly addedMs: number })[] = [];
  #lastId = 0;

  add({ kind, health, text, detail, key = text }: Happening): void {
    // The clock of the system may be set back, and with it what people read.
    const [at, addedMs] = [Date.now(), performance.now()];
    const isAgain = (event: { key: string; addedMs: number }) =>
      event.key === key && addedMs - event.addedMs < AGAIN_MS;
    const again = this.#events.findIndex(isAgain);
    const times = 1 + (again >= 0 ? (this.#events.splice(again, 1)[0]?.times ?? 0) : 0);
    const shown = detail === undefined || detail === "" ? null : detail.slice(-MAX_DETAIL_LENGTH);
    this.#events.unshift({ id: ++this.#lastId, at, kind, health, text, detail: shown, times, key, addedMs });
    if (this.#events.length > MAX_EVENTS) this.#events.pop();
  }

  events(): TimelineEvent[] {
    return this.#events.map(({ key: _key, addedMs: _addedMs, ...event }) => event);
  }
}
