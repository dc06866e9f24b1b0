/**
 * How a worker is, and how the cluster is, in a word and a sentence.
 * Owns: the limits; pure. Runs in: primary.
 */
import type { BackplaneStatus, Health, LiveWorker, LiveWorkerState } from "../live-status.js";
import type { ClusterState, SlotStatus } from "../status.js";

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

export function judgeWorker({ slot, isStalled, hasJoined, backlogBytes, lateMs }: Evidence): Judgement {
  const { state, crashes, silentMs, sample, uptimeMs, lastExit } = slot;
  const bad = (as: LiveWorkerState, summary: string): Judgement => ({ state: as, health: "bad", summary });
  const warning = (summary: string): Judgement => ({ state, health: "warning", summary });
  const inARow = `It has crashed ${crashes} times in a row`;
  switch (state) {
    case "given-up":
      return bad(state, `${inARow}, and is not started again until a reload.`);
    case "waiting":
      if (crashes > 1) return bad(state, `${inARow}, and is started again soon.`);
      return warning(
        `It has ended with ${lastExit?.signal ?? `exit code ${lastExit?.code}`}, and is started again.`,
      );
    case "starting":
      if (crashes > 1) return bad(state, `${inARow}, and starts again.`);
      return { state, health: "unknown", summary: "It starts." };
    case "ending":
      return { state, health: "unknown", summary: "It ends." };
  }
  if (silentMs > STANDS_STILL_MS) {
    return bad("stalled", `Its event loop has stood still for ${Math.round(silentMs / 1_000)} s.`);
  }
  if (isStalled) return bad("stalled", "It takes no connections; others get them.");
  if (crashes > 1 && uptimeMs < STEADY_MS) return bad(state, `${inARow}, and has just come back.`);
  if (hasJoined === false && uptimeMs > JOIN_MS) {
    return bad(state, "It has not joined the hub: broadcasts do not reach its clients.");
  }
  if (lateMs > SLOW_LOOP_MS) {
    return warning(`Its event loop is late: ${Math.round(lateMs)} ms in the worst hundredth of the time.`);
  }
  if (backlogBytes > MUCH_BACKLOG_BYTES) {
    return warning(`${Math.round(backlogBytes / 1e6)} MB wait for it in the hub.`);
  }
  if (sample && sample.heapBytes > FULL_HEAP * sample.heapLimitBytes) {
    return warning("Its heap is nearly full.");
  }
  if (crashes > 0 && uptimeMs < STEADY_MS) return warning("It has crashed, and has just come back.");
  return { state, health: "good", summary: "Nothing is wrong." };
}

/** How all of them are. */
export function judgeCluster(
  state: ClusterState,
  workers: readonly Pick<LiveWorker, "slot" | "state" | "health" | "summary">[],
  backplane: Pick<BackplaneStatus, "kind" | "health" | "summary"> | null = null,
): { readonly health: Health; readonly summary: string } {
  const ready = workers.filter((worker) => worker.state === "ready").length;
  if (state === "stopping" || state === "stopped")
    return { health: "warning", summary: "The cluster is stopping." };
  if (state === "starting") {
    return {
      health: "unknown",
      summary: `The cluster starts: ${ready} of ${workers.length} workers are ready.`,
    };
  }
  const bad = workers.filter(({ health }) => health === "bad");
  const warned = workers.filter(({ health }) => health === "warning");
  if (ready === 0) return { health: "bad", summary: "No worker takes connections." };
  if (bad.length > 1)
    return { health: "bad", summary: `${bad.length} of ${workers.length} workers are in trouble.` };
  const [one] = bad.length > 0 ? bad : warned;
  if (one && (bad.length > 0 || warned.length === 1)) {
    const told = one.summary.charAt(0).toLowerCase() + one.summary.slice(1);
    return { health: one.health, summary: `Worker ${one.slot}: ${told}` };
  }
  if (backplane && backplane.health !== "good") {
    return { health: backplane.health, summary: `${backplane.kind}: ${backplane.summary}.` };
  }
  if (warned.length > 1)
    return { health: "warning", summary: `${warned.length} of ${workers.length} workers are slow.` };
  return { health: "good", summary: "Everything is well." };
}
