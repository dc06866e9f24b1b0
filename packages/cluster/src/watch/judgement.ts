/**
 * How a worker is, in a word and a sentence, and what can be done.
 * Owns: the limits; pure. Runs in: primary.
 */
import type { Health, LiveWorkerState } from "../live-status.js";
import type { SlotStatus } from "../status.js";
import { gistOf } from "./last-words.js";

/** An event loop that is silent for so long stands still. */
export const STANDS_STILL_MS = 2_000;
/** Timers that are so late are felt by people. */
const SLOW_LOOP_MS = 200;
const MUCH_BACKLOG_BYTES = 1_000_000;
const FULL_HEAP = 0.9;
/** A worker that has been ready for so long has become one that stays. */
const STEADY_MS = 10_000;
/** After so long, a worker that is ready should have joined the hub. */
const JOIN_MS = 5_000;

export interface Judgement {
  readonly state: LiveWorkerState;
  readonly health: Health;
  readonly summary: string;
  /** `null` if there is nothing to do. */
  readonly advice: string | null;
}

/** What a judgement is made from. */
export interface Evidence {
  readonly slot: SlotStatus;
  /** The router gives it nothing, because it takes nothing. */
  readonly isStalled: boolean;
  /** Whether the hub knows it; `undefined` if there is nobody to ask. */
  readonly hasJoined: boolean | undefined;
  readonly backlogBytes: number;
  /** How late its event loop has been for a while: a moment is not a state. Milliseconds. */
  readonly lateMs: number;
}

export function judgeWorker(evidence: Evidence): Judgement {
  const { state } = evidence.slot;
  if (state === "ready") return judgeReady(evidence);
  if (state === "ending") return { state, health: "unknown", summary: "It ends.", advice: null };
  return judgeCrashed(evidence.slot, state);
}

/** It is on its way to be ready, or not: after how many crashes? */
function judgeCrashed(
  { crashes, lastExit }: SlotStatus,
  state: "starting" | "waiting" | "given-up",
): Judgement {
  if (crashes === 0) return { state, health: "unknown", summary: "It starts.", advice: null };
  const next = {
    starting: "starts again",
    waiting: "is started again soon",
    "given-up": "is not started again until a reload",
  }[state];
  const isLoop = crashes > 1 || state === "given-up";
  return {
    state,
    health: isLoop ? "bad" : "warning",
    summary: `It ${whatHappened(lastExit)}${isLoop ? inARow(crashes) : ""}${causeOf(lastExit)}, and ${next}.`,
    advice: isLoop ? MEND : null,
  };
}

const inARow = (crashes: number) => ` ${crashes} times in a row, at last`;

function whatHappened(exit: SlotStatus["lastExit"]): string {
  return exit?.reason === "no-process" ? "got no process" : "has crashed";
}

/** With what a worker has ended. */
function causeOf(exit: SlotStatus["lastExit"]): string {
  if (!exit) return "";
  const gist = gistOf(exit.lastWords).replace(/\.$/, "");
  const preposition = exit.reason === "no-process" ? "because of" : "with";
  return ` ${preposition} ${gist === "" ? (exit.signal ?? `exit code ${exit.code}`) : `"${gist}"`}`;
}

const MEND = 'Read its last words under "What happened", mend what fails, then reload.';

function judgeReady({ slot, isStalled, hasJoined, backlogBytes, lateMs }: Evidence): Judgement {
  const { state, crashes, silentMs, sample, uptimeMs, pid, lastExit } = slot;
  const bad = (as: LiveWorkerState, summary: string, advice: string): Judgement => ({
    state: as,
    health: "bad",
    summary,
    advice,
  });
  const warning = (summary: string, advice: string | null): Judgement => ({
    state: "ready",
    health: "warning",
    summary,
    advice,
  });
  if (silentMs > STANDS_STILL_MS) {
    const span = Math.round(silentMs / 1_000);
    return bad("stalled", `Its event loop has stood still for ${span} s.`, unblock(pid));
  }
  if (isStalled) return bad("stalled", "It takes no connections; others get them.", unblock(pid));
  if (crashes > 1 && uptimeMs < STEADY_MS) {
    const summary = `It ${whatHappened(lastExit)}${inARow(crashes)}${causeOf(lastExit)}, and has just come back.`;
    return bad("ready", summary, MEND);
  }
  if (hasJoined === false && uptimeMs > JOIN_MS) {
    const advice = "Look at what it has logged, and restart it.";
    return bad("ready", "It has not joined the hub: broadcasts do not reach its clients.", advice);
  }
  if (lateMs > SLOW_LOOP_MS) {
    return warning(
      `Its event loop is late: ${Math.round(lateMs)} ms in the worst hundredth of the time.`,
      "Look for handlers that compute for long. If all workers are late, more of them help.",
    );
  }
  if (backlogBytes > MUCH_BACKLOG_BYTES) {
    const size = Math.round(backlogBytes / 1e6);
    return warning(
      `${size} MB wait for it in the hub.`,
      "Its clients get messages late. Look for what keeps it busy.",
    );
  }
  if (sample && sample.heapBytes > FULL_HEAP * sample.heapLimitBytes) {
    return warning("Its heap is nearly full.", "Restart it before it crashes, and look for what it keeps.");
  }
  if (crashes > 0 && uptimeMs < STEADY_MS) {
    return warning(`It ${whatHappened(lastExit)}, and has just come back.`, null);
  }
  return { state, health: "good", summary: "Nothing is wrong.", advice: null };
}

function unblock(pid: number | undefined): string {
  return (
    `Its clients wait, new ones go to others. Restart it, or see what keeps process ${pid} busy: kill -USR1 ${pid}, ` +
    "then chrome://inspect."
  );
}
