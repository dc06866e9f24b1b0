/**
 * Sessions of this worker that move to another one.
 * Owns: the tasks that the primary has set, and what is on its way. Runs in: workers.
 *
 * Longer than other files: the steps of a task, from its first session to the last connection, are read together.
 */
import { reportFailure } from "../diagnostics.js";
import { runApplication } from "../faults.js";
import { isCarried, type TakenOut, takeOut } from "../handle/carried-socket.js";
import type { Handover, MoveOrder } from "../handle/handover.js";
import type { MovableSession } from "../moves.js";
import type { Peer } from "../wire/messages.js";
import {
  type Carrier,
  type MoveMessage,
  type MoveTask,
  NEVER,
  partsOf,
  type TaskState,
  wholePartOf,
} from "../wire/move-messages.js";
import { NO_OWNER } from "../wire/owner-mark.js";
import { encodeParcel, type Parcel } from "../wire/parcel.js";
import { encodeTicket } from "../wire/stream-ticket.js";
import { DepartingConnection, newToken } from "./departing-connection.js";
import type { HeldRequests } from "./held-requests.js";
import { isRelayed, type RelayedSocket } from "./relayed-socket.js";

/** How often it is looked again at what could not be moved. */
const RETRY_MS = 100;
/** For how long, where nothing is to be closed: a worker that has just started may not have joined the hub yet. */
const BUSY_MS = 2_000;
/** How often the primary hears how it goes. */
const REPORT_MS = 250;
/** How long requests of a session that are underway may take until it is another one's turn; then it is looked at again. */
const REST_MS = 50;
/** How often it is looked whether they are done. */
const LOOK_MS = 5;
/** How long clients may take to close their connections; then these are cut. */
const CLOSE_MS = 3_000;
/** How long the primary may take until all workers have heard of the successor, and nothing is on its way here. */
const LET_GO_MS = 5_000;

export interface NamedSession {
  readonly session: MovableSession;
  /** Of the server that it came to. */
  readonly name: string;
  /** Whether no request of it is underway but a poll that waits. */
  isAtRest(): boolean;
}

export interface MovesOutHooks {
  /** The sessions that live here. */
  sessions(): NamedSession[];
  peerOf(socket: object): Peer | undefined;
  /** Gives a connection to the primary. */
  push(handover: Handover): void;
  send(message: MoveMessage): void;
  /** Whether there is a router that carries sessions. */
  hasRouter(): boolean;
  /** Clients must not come back over the connections that they have: those that are idle go to that worker. */
  endKeepAlive(heir: number): void;
  /** They may. */
  resumeKeepAlive(): void;
  /**
   * Settles when the requests that have come here are answered, and the connections closed or given to that worker, or
   * when none has been for some seconds.
   */
  requestsDone(heir: number): Promise<void>;
}

const NOTHING = new Uint8Array(0);

/** How a session's turn ended. */
type Turn = "moved" | "lost" | "stayed";

/**
 * moving: sessions are moved, and looked at again. closing: what is left is closed. empty: there are none. leaving: all
 * workers know where they are; what is in progress is finished. over: it is done, or was stopped.
 *
 * moving → closing → empty → leaving → over; any → over (stopped)
 */
interface Task extends MoveTask {
  state: "moving" | "closing" | "empty" | "leaving" | "over";
  /** Counts the sessions whose turn it was: the successors take turns as well. */
  turns: number;
  total: number;
  /** Sessions that have moved or are about to. */
  begun: number;
  moved: number;
  lost: number;
  closed: number;
  left: Record<string, number>;
  /** Until when sessions that cannot move yet are waited for, by `performance.now()`. */
  readonly deadline: number;
  /** The state has changed from outside. */
  onChanged(): void;
}

export class MovesOut {
  readonly #hooks: MovesOutHooks;
  readonly #held: HeldRequests;
  readonly #tasks = new Map<number, Task>();
  /** By their moves: told when they have landed or are lost. */
  readonly #underway = new Map<number, (isUp: boolean) => void>();
  /** By their moves: sends what comes next of them. */
  readonly #nextParts = new Map<number, () => void>();
  #lastMove = 0;
  /** The task at whose end no session is to be left here. */
  #retirement: number | undefined;

  /** @param held where requests wait of sessions that have no connection */
  constructor(held: HeldRequests, hooks: MovesOutHooks) {
    this.#held = held;
    this.#hooks = hooks;
  }

  start(order: MoveTask): void {
    const task: Task = {
      ...order,
      state: "moving",
      turns: 0,
      total: 0,
      begun: 0,
      moved: 0,
      lost: 0,
      closed: 0,
      left: {},
      deadline: performance.now() + (order.drainMs === NEVER ? BUSY_MS : order.drainMs),
      onChanged: () => {},
    };
    if (task.drainMs !== NEVER) this.#retirement = task.task;
    this.#tasks.set(task.task, task);
    void this.#run(task);
  }

  /** Whether the primary has something to say yet. */
  get isBusy(): boolean {
    return this.#tasks.size > 0;
  }

  /** Whether this worker is to have no sessions any more. */
  get isRetiring(): boolean {
    return this.#retirement !== undefined;
  }

  /** What has not left stays. */
  stop(id: number): void {
    if (this.#retirement === id) this.#retirement = undefined;
    const task = this.#tasks.get(id);
    if (!task) return;
    task.state = "over";
    task.onChanged();
  }

  /** All workers know where its sessions are. */
  onLetGo(id: number): void {
    const task = this.#tasks.get(id);
    if (task?.state !== "empty") return;
    task.state = "leaving";
    task.onChanged();
  }

  /** The other worker has what was sent. */
  onNextPart(move: number): void {
    this.#nextParts.get(move)?.();
  }

  /** The primary says what came of a move. */
  onSettled(move: number, isUp: boolean): void {
    this.#nextParts.delete(move);
    this.#underway.get(move)?.(isUp);
    this.#underway.delete(move);
  }

  /** The last router is closed: what has not left stays. Where all have, it is as it was. */
  onOver(): void {
    for (const [id, { state }] of this.#tasks) if (state === "moving" || state === "closing") this.stop(id);
    this.#loseAll();
  }

  /** The primary is gone. */
  close(): void {
    for (const id of this.#tasks.keys()) this.stop(id);
    this.#loseAll();
  }

  #loseAll(): void {
    for (const move of [...this.#underway.keys()]) this.onSettled(move, false);
  }

  async #run(task: Task): Promise<void> {
    const timer = setInterval(() => this.#report(task, "underway"), REPORT_MS).unref();
    try {
      await this.#moveAll(task);
      if (task.drainMs !== NEVER) {
        await this.#closeAll(task);
        await this.#leave(task);
      }
    } finally {
      clearInterval(timer);
      this.#tasks.delete(task.task);
      this.#report(task, "over");
    }
  }

  /** What cannot be moved may end by itself, or become such that it can. */
  async #moveAll(task: Task): Promise<void> {
    let before = -1;
    // One pass may take longer than all the time there is. Those that could not move then get another turn.
    while (task.moved > before || performance.now() < task.deadline) {
      before = task.moved;
      await this.#pass(task);
      if (task.state !== "moving" || !this.#hasMore(task)) return;
      await sleep(Math.min(RETRY_MS, Math.max(1, task.deadline - performance.now())));
    }
  }

  /** Whether it makes sense to try again. */
  #hasMore({ drainMs, begun, limit, left }: Task): boolean {
    if (drainMs !== NEVER) return this.#hooks.sessions().length > 0;
    return begun < limit && left.busy !== undefined;
  }

  async #pass(task: Task): Promise<void> {
    const left: Record<string, number> = {};
    const sessions = this.#hooks.sessions();
    const queue = sessions.values();
    task.total = task.moved + task.lost + sessions.length;
    this.#report(task, "underway");
    const take = async () => {
      for (const each of queue) {
        if (task.state === "over" || task.begun >= task.limit) return;
        const obstacle = obstacleOf(each.session, task);
        if (obstacle === undefined) task.begun++;
        const turn = obstacle === undefined ? await this.#turnOf(each, task) : "stayed";
        if (obstacle === undefined && turn === "stayed") task.begun--;
        if (turn === "stayed") left[obstacle ?? "busy"] = (left[obstacle ?? "busy"] ?? 0) + 1;
        else task[turn]++;
      }
    };
    await Promise.all(Array.from({ length: task.window }, take));
    task.left = left;
  }

  /** Whatever is wrong with one session, the others go on. */
  async #turnOf(each: NamedSession, task: Task): Promise<Turn> {
    try {
      return await this.#move(each, task);
    } catch (error) {
      reportFailure("move", `a session: ${error}`);
      runApplication(() => each.session.onLost());
      runApplication(() => each.session.cut());
      return "lost";
    }
  }

  #move(each: NamedSession, task: Task): Promise<Turn> {
    const { socket } = each.session;
    if (!socket) return this.#movePolling(each, task);
    const successor = task.successors[task.turns++ % task.successors.length] as number;
    return isRelayed(socket)
      ? this.#moveStreamed(each, socket as RelayedSocket, successor, task)
      : this.#moveConnected(each, successor, task);
  }

  async #moveConnected({ session, name }: NamedSession, successor: number, task: Task): Promise<Turn> {
    const { socket } = session;
    const state = await departConnected(session, successor, task);
    if (!state) return "stayed";
    const taken = isCarried(socket) ? takeOut(socket) : undefined;
    if (!taken || !socket) {
      session.onLost();
      socket?.destroy();
      return "lost";
    }
    try {
      const peer = this.#hooks.peerOf(socket);
      socket.destroy();
      session.onLeft();
      const packed = session instanceof DepartingConnection ? { state: NOTHING, ticket: state } : { state };
      const order = { task: task.task, successor };
      return (await this.#carry(taken, packed, { name, order, peer })) ? "moved" : "lost";
    } catch (error) {
      // Nobody else has the connection: its client would wait for it for ever.
      taken.close();
      throw error;
    }
  }

  /** Its client is connected to another worker, which calls the successor then. */
  async #moveStreamed(
    { session, name }: NamedSession,
    socket: RelayedSocket,
    successor: number,
    task: Task,
  ): Promise<Turn> {
    if (!(await socket.hold())) return "stayed";
    const state = isOver(task) ? undefined : await session.depart(successor);
    if (!state) {
      socket.release();
      return "stayed";
    }
    const taken = socket.takeOut();
    if (!taken) {
      session.onLost();
      socket.destroy();
      return "lost";
    }
    const token = newToken();
    const ticket = encodeTicket({ end: "owner", token, origin: socket.origin });
    socket.moveAway(token, successor);
    session.onLeft();
    const where = { name, task: task.task, successor };
    return (await this.#send({ state, ...taken, ticket }, "stream", where)) ? "moved" : "lost";
  }

  /** Between two polls. */
  async #movePolling(each: NamedSession, task: Task): Promise<Turn> {
    const release = this.#held.hold(each.session.id);
    try {
      // It may have upgraded meanwhile.
      const canGo = (await comesToRest(each, task.deadline)) && !each.session.socket && !isOver(task);
      const state = canGo ? await each.session.depart(task.heir) : undefined;
      if (!state) return "stayed";
      each.session.onLeft();
      const where = { name: each.name, task: task.task, successor: task.heir };
      const parcel = { state, unread: NOTHING, unsent: NOTHING };
      return (await this.#send(parcel, "polls", where)) ? "moved" : "lost";
    } finally {
      release();
    }
  }

  /** @returns whether the session is up at the other worker */
  async #send(
    parcel: Parcel,
    carrier: Carrier,
    where: MoveOrder & { readonly name: string },
  ): Promise<boolean> {
    if (!this.#hooks.hasRouter()) return false;
    const move = ++this.#lastMove;
    return new Promise((resolve) => {
      this.#underway.set(move, resolve);
      const bytes = encodeParcel(parcel);
      const part = wholePartOf(bytes);
      this.#hooks.send({ kind: "moveOffered", move, ...where, carrier, part, peer: undefined });
      if (part === undefined) this.#sendState(move, bytes);
    });
  }

  /** @returns whether the session is up at the other worker */
  #carry(
    taken: TakenOut,
    packed: Pick<Parcel, "state" | "ticket">,
    { name, order, peer }: { name: string; order: MoveOrder; peer: Peer | undefined },
  ): Promise<boolean> {
    const move = ++this.#lastMove;
    const { handle, unread, hasUnsent } = taken;
    // What is still being written is known when the primary has the connection as well, and it is written here no more.
    const part = hasUnsent ? undefined : wholePartOf(encodeParcel({ ...packed, unread, unsent: NOTHING }));
    return new Promise((resolve) => {
      this.#underway.set(move, resolve);
      const onReturned = () => {
        taken.close();
        this.onSettled(move, false);
      };
      this.#hooks.push({
        handle,
        name,
        head: "",
        peer,
        owner: NO_OWNER,
        moving: { move, order, part, onReturned },
        // What is not written by now is written by the other worker.
        onTaken: () => {
          const unsent = taken.close();
          if (part === undefined) this.#sendState(move, encodeParcel({ ...packed, unread, unsent }));
        },
      });
    });
  }

  /** One part after another: new connections and the moves of others have the same channels. */
  #sendState(move: number, bytes: Buffer): void {
    const parts = partsOf(bytes);
    let next = parts.next();
    const sendNext = () => {
      if (next.done) return;
      const part = next.value;
      next = parts.next();
      const isLast = next.done === true;
      if (isLast) this.#nextParts.delete(move);
      else this.#nextParts.set(move, sendNext);
      this.#hooks.send({ kind: "movePart", move, isLast, part });
    };
    sendNext();
  }

  /** One by one, so that the clients do not all come back at the same time. */
  async #closeAll(task: Task): Promise<void> {
    if (task.state === "over") return;
    task.state = "closing";
    this.#hooks.endKeepAlive(task.heir);
    const sessions = this.#hooks.sessions();
    const told = new Set<string>();
    const close = ({ session }: NamedSession) => {
      told.add(session.id);
      task.closed++;
      runApplication(() => session.close());
    };
    for (const each of sessions) {
      if (task.closed > 0) await untilChanged(task, task.spreadMs / sessions.length);
      if (isOver(task)) return this.#hooks.resumeKeepAlive();
      close(each);
    }
    const deadline = performance.now() + CLOSE_MS;
    for (let left = this.#hooks.sessions(); left.length > 0; left = this.#hooks.sessions()) {
      if (performance.now() > deadline) break;
      // Their handshakes were here before, or the successor could not be reached.
      for (const each of left) if (!told.has(each.session.id)) close(each);
      await sleep(LOOK_MS);
      if (isOver(task)) return this.#hooks.resumeKeepAlive();
    }
    for (const { session } of this.#hooks.sessions()) runApplication(() => session.cut());
    task.state = "empty";
  }

  /** Nothing that has come here is cut off by the end of the process. */
  async #leave(task: Task): Promise<void> {
    if (task.state !== "empty") return;
    const letGo = untilChanged(task, LET_GO_MS);
    this.#report(task, "empty");
    await letGo;
    if (isOver(task)) return this.#hooks.resumeKeepAlive();
    await this.#hooks.requestsDone(task.heir);
    task.state = "over";
  }

  #report({ task, total, moved, lost, closed, left }: Task, state: TaskState): void {
    this.#hooks.send({ kind: "moveReport", task, state, total, moved, lost, closed, left });
  }
}

/** Why it stays where it is; undefined if nothing is known that hinders it. */
function obstacleOf(session: MovableSession, { heir, drainMs }: MoveTask): string | undefined {
  const { obstacle, socket } = session;
  if (obstacle !== undefined) return obstacle;
  // Where a part of the sessions moves, it is to even out connections: this connection is not that of a session here.
  const isRelay = session instanceof DepartingConnection || (socket !== undefined && isRelayed(socket));
  if (drainMs === NEVER && isRelay) return "relayed";
  // Its requests could not follow it: they follow all sessions of a worker, or none.
  if (!socket) return heir === NO_OWNER ? "polling" : undefined;
  if (isRelayed(socket)) return (socket as RelayedSocket).canMove ? undefined : "relayed";
  return isCarried(socket) ? undefined : "transport";
}

/** Its task may be stopped while the other end of a relayed connection is asked. */
function departConnected(session: MovableSession, successor: number, task: Task) {
  return session instanceof DepartingConnection
    ? session.depart(successor, () => !isOver(task))
    : session.depart(successor);
}

async function comesToRest({ isAtRest }: NamedSession, latest: number): Promise<boolean> {
  const deadline = Math.min(performance.now() + REST_MS, latest);
  while (!isAtRest()) {
    if (performance.now() > deadline) return false;
    await sleep(LOOK_MS);
  }
  return true;
}

/** It may have been stopped while something was waited for. */
function isOver({ state }: Task): boolean {
  return state === "over";
}

/** Settles when its state is changed from outside, or after so long. */
function untilChanged(task: Task, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    task.onChanged = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
