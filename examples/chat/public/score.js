/**
 * What became of the messages since this page was opened. Of those that this page and its guests have sent, and that a
 * worker has taken, it knows whether they came: that is what "lost" counts.
 */
import { duration, find } from "./dom.js";
import { me } from "./me.js";

/** A message that has not come by then is lost, unless it comes later. */
const LATE_MS = 5_000;

/** Taken by a worker, and not received yet: id → since when. */
const due = new Map();
const seen = new Set();
/**
 * Came as an event. Whoever gets no answer sends again, which is another event of the same message; one event that comes
 * twice is what must not be.
 */
const events = new Set();
let sent = 0;
let doubled = 0;
let longestPause = 0;

export const score = {
  /** A worker has taken it. */
  sent({ id, room }) {
    sent++;
    if (!seen.has(id) && me.rooms.includes(room)) due.set(id, performance.now());
    show();
  },
  /** It is in the talk, whichever way it came: as an event, or with what was said while this page was away. */
  received({ id }) {
    seen.add(id);
    due.delete(id);
    show();
  },
  /** It came as an event: no second one of it may come. */
  arrived({ id, at, worker }) {
    const event = `${id} ${at} ${worker}`;
    if (events.has(event)) doubled++;
    events.add(event);
  },
  /** The connection was away for so long. */
  paused(ms) {
    longestPause = Math.max(longestPause, ms);
    show();
  },
};

function show() {
  const now = performance.now();
  const lost = [...due.values()].filter((since) => now - since > LATE_MS).length;
  const figures = [
    [sent, "sent"],
    [seen.size, "received"],
    [lost, "lost"],
    [doubled, "doubled"],
  ].map(([count, what]) => `${count} ${what}`);
  const pause = longestPause > 0 ? `longest pause ${duration(longestPause)}` : "no pause";
  find("#score").textContent = `${figures.join(" · ")} · ${pause}`;
  find("#score").dataset.bad = String(lost + doubled > 0);
}

setInterval(show, 1_000);
show();
