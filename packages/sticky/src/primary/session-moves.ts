/**
 * Sessions that move from one worker to another, as the primary carries them.
 * Owns: a copy of each connection that is on its way, until the session is up or lost; the tasks, and their timers.
 * Runs in: primary, one for all routers of the process.
 *
 * A connection comes with what goes with it. Where that is large, or not known yet, the connection comes first, and is
 * held here; what goes with it follows in parts and is passed on; the connection goes to the other worker last.
 * Whatever happens to the two workers, the copy here decides when the client hears of it.
 * A session whose client polls has no connection: its requests wait at the worker that it leaves. Nor has one whose client is
 * connected to another worker, which calls the worker that gets it.
 *
 * Longer than other files: a task and a move can each be stopped by the other, and their steps are read together.
 */
import { channels } from "../diagnostics.js";
import { runApplication } from "../faults.js";
import type { Handover, Moving } from "../handle/handover.js";
import { adoptHandle, type Handle } from "../handle/node-internals.js";
import type { MoveOutcome } from "../moves.js";
import { processWide } from "../process-wide.js";
import type { DurationStats, MoveStats } from "../stats.js";
import { untilNone } from "../until-none.js";
import type { Peer } from "../wire/messages.js";
import {
  type Carrier,
  type MoveCounts,
  type MoveEnd,
  type MoveMessage,
  type MoveTask,
  NEVER,
} from "../wire/move-messages.js";
import { NO_OWNER } from "../wire/owner-mark.js";
import { Announcements } from "./announcements.js";
import { MoveTotals } from "./move-totals.js";
import { sessionHolders } from "./session-holders.js";
import { SettledMoves } from "./settled-moves.js";

/** How long a session on its way may be without progress. */
const MOVE_MS = 10_000;
/** How long a worker with a task may be silent: it reports several times a second. */
const SILENT_MS = 10_000;
/** How long a worker may take to stop when its sessions have nowhere to go any more. */
const STOP_MS = 5_000;
/** How long a worker that has no sessions any more may take for the next connection on its way to it. */
const TAKEN_MS = 1_000;

/** The last number of a task or a move. What a worker still says of one must not be taken for another's. */
const numbers = processWide("move numbers", () => ({ last: 0 }));

/** A worker, as moves need it. */
export interface MovingWorker {
  readonly workerId: number;
  /** Connections on their way to it. */
  readonly untaken: number;
  isUsable(): boolean;
  hand(handover: Handover): void;
  /** Takes a connection back, if it is not on its way yet. */
  withdraw(handover: Handover): void;
}

export interface SessionMovesHooks {
  find(workerId: number): MovingWorker | undefined;
  /** Whether a worker lives, and its last server is not closed. */
  lives(workerId: number): boolean;
  /** All workers that can be reached. */
  workers(): readonly MovingWorker[];
  /** @param sent called when it has left */
  send(workerId: number, message: MoveMessage, sent?: () => void): void;
  /** The worker keeps its sessions after all. */
  onStopped(workerId: number): void;
}

/** How whoever has started a task follows and ends it. */
export interface TaskControl {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly moved: number; readonly total: number }) => void) | undefined;
}

interface Task extends MoveTask {
  readonly source: number;
  /** moving → empty: the worker has no session any more, and it does not matter what becomes of its successors. */
  state: "moving" | "empty";
  readonly onProgress: TaskControl["onProgress"];
  /** What it ends with when the worker says that it is over. */
  outcome: MoveOutcome;
  /** As the worker has reported last. */
  counts: MoveCounts;
  /** What has come of its moves, as the primary knows. */
  readonly seen: { underway: number; moved: number; lost: number };
  /** The most sessions that could not move at once. */
  waited: number;
  timer: NodeJS.Timeout;
  settle(outcome: MoveOutcome): void;
}

/**
 * coming: its state is on the way here. landing: everything was given to the other worker, which has not answered.
 *
 * coming → landing → settled; coming and landing → settled (a worker is gone, or it takes too long)
 */
interface Move {
  readonly id: number;
  readonly source: number;
  readonly task: Task | undefined;
  /** What the source calls it. */
  readonly sourceId: number;
  readonly target: MovingWorker;
  readonly carrier: Carrier;
  /** Where that is a connection. */
  readonly handle: Handle | undefined;
  readonly name: string;
  readonly peer: Peer | undefined;
  readonly timer: NodeJS.Timeout;
  readonly startedAt: number;
  state: "coming" | "landing";
  /** To the other worker. */
  handover: Handover | undefined;
}

export class SessionMoves {
  readonly #hooks: SessionMovesHooks;
  readonly #tasks = new Map<number, Task>();
  readonly #moves = new Map<number, Move>();
  /** By what their sources call them. */
  readonly #bySource = new Map<string, Move>();
  readonly #totals = MoveTotals.get();
  readonly #holders = sessionHolders();
  readonly #announcements: Announcements;
  readonly #settled: SettledMoves;

  constructor(hooks: SessionMovesHooks) {
    this.#hooks = hooks;
    this.#announcements = new Announcements((...message) => hooks.send(...message));
    this.#settled = new SettledMoves((source, ends) => hooks.send(source, { kind: "moveSettled", ends }));
  }

  /** The worker that requests go to whose session ids name that worker: the first that lives of those that may have them. */
  ownerOf(worker: number): number {
    return this.#holders.of(worker).find(this.#lives) ?? worker;
  }

  /** Whether a worker is giving its sessions to one that their requests follow. */
  isGiving(worker: number): boolean {
    return [...this.#tasks.values()].some(({ source, heir }) => source === worker && heir !== NO_OWNER);
  }

  /** Whether a worker is a successor of one that moves sessions. */
  isGetting(worker: number): boolean {
    return [...this.#tasks.values()].some(({ successors }) => successors.includes(worker));
  }

  /** Whether a worker has given all its sessions away. */
  hasGiven(worker: number): boolean {
    return this.#holders.hasGiven(worker);
  }

  stats(): MoveStats {
    return this.#totals.stats(this.#moves.size);
  }

  get durations(): DurationStats {
    return this.#totals.durations.stats();
  }

  /** Has a worker move sessions. Settles when it has, or will not. */
  start(
    source: number,
    task: Omit<MoveTask, "task">,
    { signal, onProgress }: TaskControl = {},
  ): Promise<{ readonly outcome: MoveOutcome; readonly counts: MoveCounts }> {
    const id = ++numbers.last;
    return new Promise((resolve) => {
      // What is on its way arrives: the worker says when it is done.
      const onAbort = () => this.#hooks.send(source, { kind: "stopMoves", task: id });
      const settle = (outcome: MoveOutcome) => {
        clearTimeout(entry.timer);
        signal?.removeEventListener("abort", onAbort);
        this.#tasks.delete(id);
        resolve({ outcome, counts: latestCounts(entry) });
      };
      const entry: Task = {
        ...task,
        task: id,
        source,
        onProgress,
        state: "moving",
        outcome: "done",
        counts: NOTHING,
        seen: { underway: 0, moved: 0, lost: 0 },
        waited: 0,
        timer: setTimeout(() => this.#giveUp(entry), SILENT_MS).unref(),
        settle,
      };
      this.#tasks.set(id, entry);
      void this.#begin(entry).then(() => {
        if (!this.#tasks.has(id)) return;
        if (entry.outcome !== "done") return settle(entry.outcome);
        if (this.#hasDeparted(source)) return this.#endDeparted(entry);
        this.#hooks.send(source, { kind: "moveSessions", ...task, task: id });
        if (signal?.aborted) onAbort();
        else signal?.addEventListener("abort", onAbort, { once: true });
      });
    });
  }

  onMessage(workerId: number, message: MoveMessage, handle: Handle | undefined): void {
    switch (message.kind) {
      case "moveOffered":
        return this.#onOffered(workerId, message, handle);
      case "movePart":
        return this.#onPart(workerId, message);
      case "moveLanded":
        for (const end of message.ends) this.#onLanded(workerId, end);
        return;
      case "moveReport":
        return this.#onReport(workerId, message);
      case "askHolders":
        return this.#tellHolders(workerId, message.worker, this.#holders.of(message.worker));
      case "heardOf":
        return this.#announcements.onHeard(message.giver, workerId);
    }
  }

  /** The worker is gone. */
  onGone(workerId: number): void {
    this.#announcements.onGone(workerId);
    this.#holders.onGone(workerId);
    this.#settled.forget(workerId);
    // First of all, or a worker begins with another session when it hears of one that is lost.
    for (const task of [...this.#tasks.values()]) {
      if (task.source === workerId) {
        task.outcome = "worker-gone";
        clearTimeout(task.timer);
      } else {
        this.#stopWithout(task, workerId);
      }
    }
    for (const move of [...this.#moves.values()]) {
      // What has left it as a whole can still land.
      const isLost =
        move.target.workerId === workerId || (move.source === workerId && move.state === "coming");
      if (isLost) this.#fail(move);
    }
    for (const task of this.#tasks.values()) this.#endIfGone(task);
  }

  /** The worker has no server any more, so it takes nothing. */
  onDeparted(workerId: number): void {
    this.#announcements.onGone(workerId);
    for (const task of this.#tasks.values()) this.#stopWithout(task, workerId);
    for (const move of [...this.#moves.values()]) if (move.target.workerId === workerId) this.#fail(move);
  }

  /** A worker gets no sessions any more. */
  #stopWithout(task: Task, workerId: number): void {
    // Those that poll have nowhere else to go: requests follow all of a worker's sessions to one.
    if (task.heir === workerId || !task.successors.some(this.#lives)) this.#stop(task, "successor-gone");
  }

  /** The task of a worker that is gone is over when nothing of it is on its way any more. */
  #endIfGone(task: Task | undefined): void {
    if (task?.outcome === "worker-gone" && task.seen.underway === 0) task.settle("worker-gone");
  }

  /** All routers are closed: what has not left stays. */
  stop(): void {
    for (const task of this.#tasks.values()) this.#stop(task, "router-closed");
  }

  /** Tasks that are not over, and sessions that are on their way. */
  get underway(): number {
    return this.#tasks.size + this.#moves.size;
  }

  close(): void {
    for (const move of [...this.#moves.values()]) this.#fail(move);
    for (const task of [...this.#tasks.values()]) task.settle("router-closed");
    this.#announcements.close();
  }

  readonly #lives = (worker: number): boolean => this.#isUsable(worker) && this.#hooks.lives(worker);

  #isUsable(worker: number): boolean {
    return this.#hooks.find(worker)?.isUsable() === true;
  }

  /** The worker that gets the sessions of clients that poll knows of it before their requests come. */
  async #begin({ source, heir }: Task): Promise<void> {
    if (heir === NO_OWNER) return;
    this.#holders.onGiving(source, heir);
    // Where others have got some before, it is the one that passes requests on to them.
    for (const [worker, holders] of this.#holders.with(source)) {
      if (holders.length > 2) this.#tellHolders(heir, worker, holders);
    }
    await this.#announcements.make({ kind: "giving", giver: source, heir }, [heir]);
  }

  #tellHolders(workerId: number, worker: number, holders: readonly number[]): void {
    const lives = this.#hooks.lives(worker);
    this.#hooks.send(workerId, { kind: "holders", worker, lives, holders });
  }

  /** Whether its last server is closed; of one whose process has ended {@link onGone} tells. */
  #hasDeparted(worker: number): boolean {
    return this.#isUsable(worker) && !this.#hooks.lives(worker);
  }

  /** It has no server, so no session, and hears of nothing. */
  #endDeparted({ source, heir, settle }: Task): void {
    if (heir !== NO_OWNER) this.#holders.onGiven(source, heir);
    settle("done");
  }

  /** The worker has no session any more. It may end when nobody sends requests there. */
  async #announce({ source, task, heir }: Task): Promise<void> {
    if (heir !== NO_OWNER) {
      this.#holders.onGiven(source, heir);
      const all = this.#hooks.workers().map(({ workerId }) => workerId);
      await this.#announcements.make({ kind: "given", giver: source, heir }, all);
    }
    await this.#untilTaken(source);
    this.#hooks.send(source, { kind: "letGo", task });
  }

  /** What was on its way to the worker before has got there: it may end when it knows of no request any more. */
  #untilTaken(workerId: number): Promise<void> {
    return untilNone(() => this.#hooks.find(workerId)?.untaken ?? 0, TAKEN_MS);
  }

  /** The worker keeps what has not left, and says when nothing is on its way any more. */
  #stop(task: Task, outcome: MoveOutcome): void {
    if (task.outcome !== "done" || task.state === "empty") return;
    task.outcome = outcome;
    this.#hooks.send(task.source, { kind: "stopMoves", task: task.task });
    this.#hooks.onStopped(task.source);
    clearTimeout(task.timer);
    task.timer = setTimeout(() => task.settle(outcome), STOP_MS).unref();
  }

  /** The worker says nothing. */
  #giveUp(task: Task): void {
    if (task.state === "moving") {
      this.#hooks.send(task.source, { kind: "stopMoves", task: task.task });
      this.#hooks.onStopped(task.source);
    }
    task.settle("worker-silent");
  }

  #onOffered(source: number, offer: MoveMessage & { kind: "moveOffered" }, handle: Handle | undefined): void {
    const { move: sourceId, successor, name, carrier, part, peer } = offer;
    const target = this.#hooks.find(successor);
    const isComplete = handle !== undefined || carrier !== "connection";
    const task = this.#taskOf(source, offer.task);
    if (!isComplete || !target || !this.#lives(successor)) {
      handle?.close();
      if (task) task.seen.lost++;
      this.#hooks.send(source, { kind: "moveSettled", ends: [{ move: sourceId, isUp: false }] });
      return this.#onLost(name, source, successor);
    }
    const id = ++numbers.last;
    const timer = setTimeout(() => this.#onLate(id), MOVE_MS).unref();
    const startedAt = performance.now();
    if (task) task.seen.underway++;
    const move: Move = {
      ...{ id, source, task, sourceId, target, carrier, handle, name, peer, timer, startedAt },
      state: "coming",
      handover: undefined,
    };
    this.#moves.set(id, move);
    this.#bySource.set(keyOf(source, sourceId), move);
    this.#settled.begin(source);
    if (part !== undefined) this.#onWhole(move, part);
  }

  #onPart(source: number, { move: sourceId, isLast, part }: MoveMessage & { kind: "movePart" }): void {
    const move = this.#bySource.get(keyOf(source, sourceId));
    if (move?.state !== "coming") return;
    move.timer.refresh();
    const { id, target } = move;
    const nextPart = () => this.#hooks.send(source, { kind: "nextPart", move: sourceId });
    this.#hooks.send(target.workerId, { kind: "moveState", move: id, part }, isLast ? undefined : nextPart);
    if (isLast) this.#onWhole(move, undefined);
  }

  /** @param part what goes with the connection; undefined if the other worker has been sent it */
  #onWhole(move: Move, part: string | undefined): void {
    move.state = "landing";
    const { id, target, handle, name, peer } = move;
    if (!handle) {
      const connection = { move: id, name, hasConnection: false, part, peer };
      return this.#hooks.send(target.workerId, { kind: "moveConnection", ...connection });
    }
    const onReturned = () => this.#fail(move);
    const moving: Moving = { move: id, part, onReturned };
    // It is for nobody else, so the lane gives it to nobody else.
    move.handover = { handle, name, head: "", peer, owner: target.workerId, moving };
    target.hand(move.handover);
  }

  /** Nothing has come of it for too long. Others of the same task would fare no better. */
  #onLate(id: number): void {
    const move = this.#moves.get(id);
    if (!move) return;
    // See onGone().
    if (move.state === "landing") this.#stopThoseTo(move.target.workerId, move.source);
    this.#fail(move);
  }

  #stopThoseTo(successor: number, source: number): void {
    for (const task of this.#tasks.values()) {
      const isSame = task.source === source && task.successors.includes(successor);
      if (isSame) this.#stop(task, "successor-silent");
    }
  }

  #onLanded(workerId: number, { move: id, isUp }: MoveEnd): void {
    const move = this.#moves.get(id);
    if (move?.target.workerId !== workerId) return;
    if (!isUp) return this.#fail(move);
    this.#forget(move, "moved");
    move.handle?.close();
    this.#settled.end(move.source, { move: move.sourceId, isUp: true });
    this.#totals.add("moved");
    if (move.carrier === "polls") this.#totals.add("polling");
    const { name, source, startedAt } = move;
    const durationMs = performance.now() - startedAt;
    this.#totals.durations.add(durationMs);
    if (!channels.landed.hasSubscribers) return;
    channels.landed.publish({ name, workerId: source, successor: workerId, durationMs });
  }

  #onReport(workerId: number, { task: id, state, ...report }: MoveMessage & { kind: "moveReport" }): void {
    const task = this.#taskOf(workerId, id);
    if (!task) return;
    const { total, moved, lost, closed, left } = report;
    this.#totals.add("closed", closed - task.counts.closed);
    this.#countWaiting(task, left);
    task.counts = { total, moved, lost, closed, left };
    task.timer.refresh();
    runApplication(() => task.onProgress?.({ moved, total }));
    if (state === "empty" && task.outcome === "done") {
      task.state = "empty";
      void this.#announce(task);
    } else if (state === "over") task.settle(task.outcome);
  }

  /** The task of that number, if it is one of the worker that names it. */
  #taskOf(workerId: number, id: number): Task | undefined {
    const task = this.#tasks.get(id);
    return task?.source === workerId ? task : undefined;
  }

  /** Most wait when it is first tried: those that are left later are some of them, as a rule. */
  #countWaiting(task: Task, left: MoveCounts["left"]): void {
    if (task.drainMs === NEVER) return;
    const waiting = Object.values(left).reduce((sum, sessions) => sum + sessions, 0);
    if (waiting <= task.waited) return;
    this.#totals.add("waited", waiting - task.waited);
    task.waited = waiting;
  }

  /** The session is lost: its client hears of it now, and can recover. */
  #fail(move: Move): void {
    if (!this.#moves.has(move.id)) return;
    this.#forget(move, "lost");
    if (move.handover) move.target.withdraw(move.handover);
    this.#onLost(move.name, move.source, move.target.workerId);
    this.#hooks.send(move.target.workerId, { kind: "moveCancelled", move: move.id });
    this.#settled.end(move.source, { move: move.sourceId, isUp: false });
    if (!move.handle) return;
    // A stopped worker may have a copy: the connection has to be ended, not just closed.
    const socket = adoptHandle(move.handle);
    socket.on("error", ignore).end(() => socket.destroy());
  }

  #onLost(name: string, workerId: number, successor: number): void {
    this.#totals.add("lost");
    if (channels.lost.hasSubscribers) channels.lost.publish({ name, workerId, successor });
  }

  #forget(move: Move, result: "moved" | "lost"): void {
    clearTimeout(move.timer);
    this.#moves.delete(move.id);
    this.#bySource.delete(keyOf(move.source, move.sourceId));
    if (!move.task) return;
    move.task.seen.underway--;
    move.task.seen[result]++;
    this.#endIfGone(move.task);
  }
}

function keyOf(workerId: number, move: number): string {
  return `${workerId} ${move}`;
}

/** A worker that is gone, or silent, has not reported the last ones. */
function latestCounts({ counts, seen }: Task): MoveCounts {
  const [moved, lost] = [Math.max(counts.moved, seen.moved), Math.max(counts.lost, seen.lost)];
  return { ...counts, total: Math.max(counts.total, moved + lost), moved, lost };
}

const ignore = () => {};
const NOTHING: MoveCounts = { total: 0, moved: 0, lost: 0, closed: 0, left: {} };
