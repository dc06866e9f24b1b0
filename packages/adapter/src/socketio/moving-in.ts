/**
 * Sessions of one namespace that come from another worker. Their rooms are this worker's from the cut; what is for them
 * waits until the connection is here and Socket.IO has made the socket.
 * Owns: these sessions, and one timer for each. Runs in: workers.
 */
import type { Socket } from "socket.io";
import type { Room, SocketId } from "socket.io-adapter";
import { runApplication } from "../faults.js";
import type { AckPlace, ArrivingSession } from "./move-port.js";
import type { Connection } from "./private-fields.js";

/** A connection that has not come by then was lost with its worker. */
const ARRIVAL_MS = 30_000;

/**
 * expected: the connection is on its way. making: it is here, and Socket.IO makes the socket; middlewares may be
 * running. over: the socket is connected, or there will be none.
 *
 * expected → making → over; expected → over (the connection was lost; the session is wanted elsewhere); making → over
 */
interface Arrival extends ArrivingSession {
  state: "expected" | "making" | "over";
  /** What is done with the socket when it is connected, in order. */
  readonly waiting: ((socket: Socket) => void)[];
  readonly timer: NodeJS.Timeout;
  connection: Connection | undefined;
  acks: ReadonlyMap<number, AckPlace>;
  /** Settle when it is over. */
  readonly watchers: ((isHere: boolean) => void)[];
}

/** A socket that is about to be connected. */
export interface Landing {
  readonly handle: number;
  readonly data: Uint8Array;
  /** Acknowledgements that the client owes to sockets that were left behind, by the numbers that it knows. */
  readonly acks: ReadonlyMap<number, AckPlace>;
  /** Does what has waited. Call it when the socket can write. */
  run(): void;
}

/** Listeners of the application may throw in `enter` and `leave`. */
export interface MovingInHooks {
  /** The session's rooms are this worker's. */
  enter(sid: SocketId, rooms: Set<Room>): void;
  /** The hub is to say when it has handled all that this worker sent before: see `onHeard()`. */
  heard(handle: number): void;
  /** They are not any more. */
  leave(sid: SocketId): void;
  /** The hub may give the session to somebody else. */
  giveUp(handle: number): void;
  /** Cuts the connection of a session that was given up. */
  cut(connection: Connection): void;
}

export class MovingIn {
  readonly #hooks: MovingInHooks;
  readonly #bySid = new Map<SocketId, Arrival>();
  readonly #byHandle = new Map<number, Arrival>();
  /** Who waits for sessions that the hub has not told of yet. */
  readonly #expecting = new Map<SocketId, (() => void)[]>();
  /** Sessions that may be meant by what this worker sent before it heard of them, and the rooms that they came with. */
  readonly #fresh = new Map<SocketId, { readonly handle: number; readonly rooms: ReadonlySet<Room> }>();
  #isClosed = false;

  constructor(hooks: MovingInHooks) {
    this.#hooks = hooks;
  }

  get isEmpty(): boolean {
    return this.#bySid.size === 0;
  }

  has(sid: SocketId): boolean {
    return this.#bySid.has(sid);
  }

  /**
   * Those of the sessions that something is for which this worker sent before it heard of them. They may be connected
   * already: state and connection may come faster than the hub's answers. What they have joined here does not count.
   */
  fresh(isFor: (rooms: ReadonlySet<Room>) => boolean): SocketId[] {
    return [...this.#fresh].flatMap(([sid, { rooms }]) => (isFor(rooms) ? sid : []));
  }

  /** There is nothing more of that kind. */
  onHeard(handle: number): void {
    for (const [sid, fresh] of this.#fresh) if (fresh.handle === handle) this.#fresh.delete(sid);
  }

  /** The hub has made the cut. */
  onArriving(session: ArrivingSession): void {
    const { sid, handle, rooms } = session;
    this.abandon(sid);
    const timer = setTimeout(() => this.abandon(sid), ARRIVAL_MS).unref();
    const arrival: Arrival = {
      ...session,
      state: "expected",
      waiting: [],
      timer,
      connection: undefined,
      acks: NO_ACKS,
      watchers: [],
    };
    this.#bySid.set(sid, arrival);
    this.#byHandle.set(handle, arrival);
    this.#fresh.set(sid, { handle, rooms });
    this.#hooks.heard(handle);
    // Whoever waits for the session does so whatever is thrown.
    runApplication(() => this.#hooks.enter(sid, rooms));
    for (const told of this.#expecting.get(sid) ?? []) told();
    this.#expecting.delete(sid);
  }

  /** Settles when the hub has told of the session, or does not in time. */
  async told(sid: SocketId): Promise<void> {
    if (this.#bySid.has(sid) || this.#isClosed) return;
    const waiting = this.#expecting.get(sid) ?? [];
    this.#expecting.set(sid, waiting);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#expecting.delete(sid);
        resolve();
      }, ARRIVAL_MS).unref();
      waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /**
   * The connection is here.
   * @returns settles when the socket is connected (true) or will never be (false)
   */
  begin(sid: SocketId, connection: Connection, acks: ReadonlyMap<number, AckPlace>): Promise<boolean> {
    const arrival = this.#bySid.get(sid);
    if (arrival?.state !== "expected") return Promise.resolve(false);
    arrival.state = "making";
    arrival.connection = connection;
    arrival.acks = acks;
    return this.#over(arrival);
  }

  /** What Socket.IO makes the socket of, if the connection has come for it. */
  sessionFor(privateId: string, connection: Connection | undefined): ArrivingSession | undefined {
    if (this.isEmpty || !connection) return undefined;
    for (const arrival of this.#bySid.values()) {
      if (arrival.connection === connection && arrival.privateId === privateId) return arrival;
    }
    return undefined;
  }

  /** The socket is connected: what has waited for it belongs to the caller now. */
  land(socket: Socket): Landing | undefined {
    const arrival = this.#bySid.get(socket.id);
    if (arrival?.state !== "making") return undefined;
    this.#end(arrival);
    const run = () => {
      for (const work of arrival.waiting.splice(0)) runApplication(() => work(socket));
      for (const settle of arrival.watchers) settle(true);
    };
    return { handle: arrival.handle, data: arrival.data, acks: arrival.acks, run };
  }

  /** Does something with a session's socket when it is connected. @returns false if it does not come */
  push(sid: SocketId, work: (socket: Socket) => void): boolean {
    const arrival = this.#bySid.get(sid);
    arrival?.waiting.push(work);
    return arrival !== undefined;
  }

  /** Those of the sockets that are still on their way. */
  among(sids: Iterable<SocketId>): SocketId[] {
    return this.isEmpty ? [] : [...sids].filter((sid) => this.#bySid.has(sid));
  }

  /** Settles when the sockets are connected or will never be. */
  async settled(sids: readonly SocketId[]): Promise<void> {
    const arrivals = sids.flatMap((sid) => this.#bySid.get(sid) ?? []);
    await Promise.all(arrivals.map((arrival) => this.#over(arrival)));
  }

  /** The session is wanted elsewhere. @returns whether it was one of these */
  fence(handle: number): boolean {
    const arrival = this.#byHandle.get(handle);
    if (arrival) this.abandon(arrival.sid);
    return arrival !== undefined;
  }

  /** There will be no socket: the client has to come back. */
  abandon(sid: SocketId): void {
    const arrival = this.#bySid.get(sid);
    if (!arrival) return;
    this.#end(arrival);
    this.#fresh.delete(sid);
    runApplication(() => this.#hooks.leave(sid));
    this.#hooks.giveUp(arrival.handle);
    if (arrival.connection) this.#hooks.cut(arrival.connection);
    for (const settle of arrival.watchers) settle(false);
  }

  onUnlinked(): void {
    for (const sid of [...this.#bySid.keys()]) this.abandon(sid);
    for (const waiting of this.#expecting.values()) for (const told of waiting) told();
    this.#expecting.clear();
    this.#fresh.clear();
  }

  close(): void {
    this.#isClosed = true;
    this.onUnlinked();
  }

  #over(arrival: Arrival): Promise<boolean> {
    return new Promise((resolve) => void arrival.watchers.push(resolve));
  }

  #end(arrival: Arrival): void {
    arrival.state = "over";
    clearTimeout(arrival.timer);
    this.#bySid.delete(arrival.sid);
    this.#byHandle.delete(arrival.handle);
  }
}

const NO_ACKS: ReadonlyMap<number, AckPlace> = new Map();
