/**
 * `retire()`, `moveSessions()` and `rebalance()` of the primary: which sessions move where.
 * Owns: the defaults and the ranges of their options. Runs in: primary.
 */
import { HoldfastError } from "../errors.js";
import type {
  MoveOptions,
  MoveResult,
  RebalanceOptions,
  RetireOptions,
  Successors,
  WorkerLike,
} from "../moves.js";
import { MAX_TIMER_MS, OptionReader } from "../option-reader.js";
import { ALL_SESSIONS, type MoveTask, NEVER } from "../wire/move-messages.js";
import { NO_OWNER } from "../wire/owner-mark.js";
import type { Roster } from "./roster.js";
import type { RoutedWorker } from "./routed-worker.js";
import type { TaskControl } from "./session-moves.js";

/** How far above the average a worker may be. */
const TOLERANCE = 0.1;

export async function retire(
  roster: Roster,
  worker: WorkerLike,
  successors: Successors,
  input: RetireOptions = {},
): Promise<MoveResult> {
  const options = new OptionReader("retire", input);
  const { onProgress, ...task } = options.end({
    window: windowOf(options),
    drainMs: options.integer("drainTimeout", 30_000, 0, MAX_TIMER_MS),
    spreadMs: options.integer("spread", 5_000, 0, MAX_TIMER_MS),
    onProgress: options.fn<RetireOptions["onProgress"]>("onProgress", undefined),
  });
  const [source, targets] = partiesOf(roster, worker, successors);
  const [heir = NO_OWNER] = targets;
  if (roster.moves.isGiving(source.workerId)) {
    throw noWorker(`Worker ${source.workerId} is retiring already. Wait until that is over.`);
  }
  // It would be done before the last ones have come, which nobody would look for there.
  if (roster.moves.isGetting(source.workerId)) {
    throw noWorker(`Worker ${source.workerId} gets sessions of another one. Wait until that is over.`);
  }
  roster.setRetiring(source.workerId, true);
  return start(roster, source, { ...task, successors: targets, heir, limit: ALL_SESSIONS }, { onProgress });
}

export async function moveSessions(
  roster: Roster,
  worker: WorkerLike,
  successor: WorkerLike,
  input: MoveOptions = {},
): Promise<MoveResult> {
  const options = new OptionReader("moveSessions", input);
  const { window, limit, ...control } = options.end({
    window: windowOf(options),
    limit: options.integer("count", MAX_TIMER_MS, 0, MAX_TIMER_MS),
    signal: options.value("signal", undefined, isSignal, "an AbortSignal"),
    onProgress: options.fn<MoveOptions["onProgress"]>("onProgress", undefined),
  });
  const [source, successors] = partiesOf(roster, worker, successor);
  const task = { successors, heir: NO_OWNER, limit, window, drainMs: NEVER, spreadMs: 0 };
  return start(roster, source, task, control);
}

export async function rebalance(roster: Roster, input: RebalanceOptions = {}): Promise<MoveResult[]> {
  const options = new OptionReader("rebalance", input);
  const { window } = options.end({ window: windowOf(options) });
  return Promise.all(
    planOf(roster.ready).map(({ from, to, sessions }) =>
      start(roster, from, {
        successors: [to.workerId],
        heir: NO_OWNER,
        limit: sessions,
        window,
        drainMs: NEVER,
        spreadMs: 0,
      }),
    ),
  );
}

interface Transfer {
  readonly from: RoutedWorker;
  readonly to: RoutedWorker;
  readonly sessions: number;
}

/** Who gives how many to whom. */
export function planOf<W extends { readonly connections: number; takesNew(): boolean }>(
  workers: readonly W[],
): (Omit<Transfer, "from" | "to"> & { readonly from: W; readonly to: W })[] {
  const taking = workers.filter((worker) => worker.takesNew());
  const total = taking.reduce((sum, { connections }) => sum + connections, 0);
  const share = total / Math.max(1, taking.length);
  // One has to have the rest that cannot be shared out.
  const most = Math.max(Math.ceil(share), share * (1 + TOLERANCE));
  if (taking.every(({ connections }) => connections <= most)) return [];
  const room = taking.map((to) => ({ to, sessions: Math.floor(share - to.connections) }));
  const plan: ReturnType<typeof planOf<W>> = [];
  for (const from of taking) {
    let excess = Math.floor(from.connections - share);
    for (const place of room) {
      const sessions = Math.min(excess, place.sessions);
      if (sessions <= 0) continue;
      plan.push({ from, to: place.to, sessions });
      place.sessions -= sessions;
      excess -= sessions;
    }
  }
  return plan;
}

async function start(
  roster: Roster,
  source: RoutedWorker,
  task: Omit<MoveTask, "task">,
  control?: TaskControl,
): Promise<MoveResult> {
  const { outcome, counts } = await roster.moves.start(source.workerId, task, control);
  return { outcome, ...counts };
}

function windowOf(options: OptionReader<{ window?: number }>): number {
  return options.integer("window", 4, 1, 1_000);
}

function isSignal(value: unknown): value is AbortSignal | undefined {
  return value === undefined || value instanceof AbortSignal;
}

function partiesOf(roster: Roster, worker: WorkerLike, successors: Successors): [RoutedWorker, number[]] {
  const source = readyWorker(roster, worker);
  const targets = "id" in successors ? [successors] : successors;
  const heirs = targets.map((successor) => readyWorker(roster, successor));
  const ids = heirs.map(({ workerId }) => workerId);
  if (ids.length === 0) throw noWorker(`Worker ${source.workerId} has no successor. Name at least one.`);
  if (ids.includes(source.workerId)) {
    throw noWorker(`Worker ${source.workerId} cannot be its own successor.`);
  }
  const leaving = ids.find((id) => roster.moves.isGiving(id) || roster.moves.hasGiven(id));
  if (leaving !== undefined) {
    throw noWorker(
      `Worker ${leaving} retires, or has retired, and gets no sessions any more. Name another one.`,
    );
  }
  const closed = heirs.find((heir) => !heir.takesNew());
  if (closed) {
    throw noWorker(
      `Worker ${closed.workerId} has closed its servers, or is about to end, and gets no sessions. Name another one.`,
    );
  }
  return [source, ids];
}

function readyWorker(roster: Roster, { id }: WorkerLike): RoutedWorker {
  const routed = roster.ready.find(({ workerId }) => workerId === id);
  if (!routed) {
    throw noWorker(`Worker ${id} is not ready. Wait for the event "worker:ready" that has its workerId.`);
  }
  return routed;
}

function noWorker(message: string): HoldfastError {
  return new HoldfastError("HOLDFAST_ERR_NO_WORKER", message);
}
