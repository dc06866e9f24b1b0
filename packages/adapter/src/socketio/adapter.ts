/**
 * The Socket.IO adapter: what one namespace does with its own sockets, and what it tells its siblings in other
 * workers. Owns: the namespace's port, its operations and its part in recovery. Runs in: workers.
 *
 * Longer than other files: it is the one class that Socket.IO calls, and what broadcasts and joins pass is hot.
 */
import type { Namespace, Socket } from "socket.io";
import {
  Adapter,
  type BroadcastFlags,
  type BroadcastOptions,
  type Room,
  type Session,
  type SocketId,
} from "socket.io-adapter";
import { runApplication } from "../faults.js";
import type { InterestReport } from "../member/interest-report.js";
import type { Member } from "../member/member.js";
import type { NamespacePort } from "../member/namespace-port.js";
import type { MoveHandlers, PortHandlers, Selection } from "../member/port-contract.js";
import { RoomMembers } from "../member/room-members.js";
import type { ResolvedAdapterOptions } from "../options.js";
import { OpenFlag } from "../wire/frame.js";
import { complete, NO_FLAGS, NO_ROOMS } from "./broadcast-options.js";
import { holdUntil } from "./connect-gate.js";
import { matches } from "./delivery.js";
import { MovePort } from "./move-port.js";
import type { Moves } from "./moves.js";
import { type LocalSockets, Operations } from "./operations.js";
import { PreparedPacket } from "./prepared-packet.js";
import {
  connectedSocket,
  connectionOf,
  engineOf,
  expectAck,
  isPlainEvent,
  nextPacketId,
  type Packet,
  pathOf,
  type WriteOptions,
} from "./private-fields.js";
import { Recovery, type RecoveryContext } from "./recovery.js";
import { RecoveryPort } from "./recovery-port.js";
import { RoomEvents } from "./room-events.js";
import { batchWritesOf } from "./write-batch.js";

/** No socket is in it. */
const NOWHERE = Symbol("nowhere") as unknown as Room;

/**
 * Broadcasts and requests between the workers of a `node:cluster`. Made by `createAdapter()`.
 * @see https://socket.io/docs/v4/adapter/
 */
export class HoldfastAdapter extends Adapter {
  declare readonly nsp: Namespace;
  declare rooms: Map<Room, RoomMembers>;
  readonly #port: NamespacePort;
  readonly #operations: Operations;
  /** Sends what this turn has done for others, or with sessions. */
  readonly #sendDeeds: () => void;
  /** Waits for the hub, unless it is silent. */
  readonly #orSilent: Member["orSilent"];
  readonly #requestsTimeout: number;
  readonly #onError: ResolvedAdapterOptions["onError"];
  /**
   * Runs listeners during what the application calls itself. What they throw comes to it and ends the call, as with
   * Socket.IO's own adapter. With recovery there is no caller: packets wait for their places.
   */
  readonly #runOwn: typeof runApplication;
  /** Undefined where the server has no `connectionStateRecovery`. */
  readonly #recovery: Recovery | undefined;
  // open → closing → closed; open → closed
  #state: "open" | "closing" | "closed" = "open";
  /** What is being read was sent by this worker itself. */
  #isReturned = false;
  /** Whether anybody has ever listened for events of rooms. Mostly nobody does, and there are many. */
  #isObserved = false;

  /** @internal `createAdapter()` knows the member. */
  constructor(nsp: Namespace, options: ResolvedAdapterOptions, member: Member) {
    super(nsp);
    // Socket.IO replaces an adapter without a word to it; this one takes its place in the cluster, too.
    if (nsp.adapter instanceof HoldfastAdapter) nsp.adapter.close();
    this.once("newListener", () => {
      this.#isObserved = true;
    });
    const { requestsTimeout, onError } = options;
    this.#requestsTimeout = requestsTimeout;
    this.#onError = onError;
    this.#sendDeeds = member.flushDeeds;
    this.#orSilent = member.orSilent;
    this.#recovery = Recovery.of(this.#recoveryContext(options));
    this.#runOwn = this.#recovery ? runApplication : (code) => code();
    const scope = options.scope ?? pathOf(nsp);
    const openFlags = options.interest ? 0 : OpenFlag.everything;
    this.#port = member.open(`${scope}\n${nsp.name}`, openFlags, this.#handlers(onError));
    this.#operations = new Operations(nsp, this.#port, options, this.#localSockets());
    this.#recovery?.connect(new RecoveryPort(this.#port, member), new MovePort(nsp, this.#port, member));
  }

  /** @internal Undefined where sessions do not move. */
  get moves(): Moves | undefined {
    return this.#recovery?.moves;
  }

  #recoveryContext({ requestsTimeout, onError }: ResolvedAdapterOptions): RecoveryContext {
    return {
      nsp: this.nsp,
      requestsTimeout,
      roomsOf: (id) => this.sids.get(id) ?? NO_ROOMS,
      hasRoom: (room) => this.rooms.has(room),
      deliver: (...delivery) => this.#deliver(...delivery),
      send: (packet, rooms, except, flags) => this.#port.broadcast(packet, rooms, except, flags),
      enter: (sid, rooms) => void this.addAll(sid, rooms),
      leave: (sid) => this.delAll(sid),
      onError,
    };
  }

  /** What is done to them for other workers: what a listener throws with one keeps nothing from the others. */
  #localSockets(): LocalSockets {
    return {
      addSockets: (selection, rooms) => {
        const meant = this.#meant(selection);
        this.#addArriving(meant, rooms);
        this.#each(meant, (socket) => runApplication(() => void socket.join(rooms)));
      },
      delSockets: (selection, rooms) => {
        const meant = this.#meant(selection);
        this.#delArriving(meant, rooms);
        this.#each(meant, (socket) => {
          for (const room of rooms) runApplication(() => void socket.leave(room));
        });
      },
      disconnectSockets: (selection, close) => {
        const meant = this.#meant(selection);
        this.#disconnectArriving(meant, close);
        this.#each(meant, (socket) => disconnectApart(socket, close));
      },
      fetchSockets: (selection) => this.#fetchOwn(this.#meant(selection)),
      ask: (packet, packetId, selection, flags, ack) => {
        const sids = this.#reachable(this.#meant(selection));
        const write = (some: ReadonlySet<SocketId>) =>
          this.#ask(packet, packetId, some, flags, ack, runApplication);
        if (this.#recovery) this.#recovery.afterHeld(sids, write);
        else write(sids);
        return sids.size;
      },
    };
  }

  #handlers(onError: ResolvedAdapterOptions["onError"]): PortHandlers {
    const moves: MoveHandlers = {
      onFrame: (...frame) => this.moves?.onFrame(...frame) ?? false,
      onReturned: (read) => {
        this.#isReturned = true;
        try {
          read();
        } finally {
          this.#isReturned = false;
        }
      },
      onUnlinked: () => this.moves?.onUnlinked(),
    };
    return {
      recovery: this.#recovery,
      moves,
      onBroadcast: (rooms, except, flags, fields, hasOffset) => {
        const packet = PreparedPacket.read(this.nsp, fields, hasOffset);
        if (!this.#recovery) return this.#deliver(packet, rooms, except, flags);
        if (!this.#isReturned) return this.#recovery.deliver(packet, rooms, except, flags);
        const meant = this.#meant({ rooms, except });
        this.#recovery.deliver(packet, meant.rooms, meant.except, flags);
      },
      onCommand: (...command) => this.#operations.onCommand(...command),
      onRequest: (...request) => this.#operations.onRequest(...request),
      onBroadcastWithAck: (...request) => this.#operations.onBroadcastWithAck(...request),
      onTaken: () => {
        if (this.#state === "closing") this.#end();
      },
      reportRooms: (report) => this.#reportRooms(report),
      onRecoverable: () => {},
      onError,
    };
  }

  /**
   * Ends the namespace's part in the cluster: requests in flight are settled, siblings stop counting it.
   * @returns a promise when sockets that are closed have still to get what was emitted before, or when other hosts have to
   *   hear that this process ends
   */
  override close(): Promise<void> | void {
    this.#operations.close();
    const written = this.#recovery?.leave();
    if (!written) return this.#end();
    this.#state = "closing";
    const timer = setTimeout(() => this.#end(), this.#requestsTimeout);
    return written.then(() => {
      clearTimeout(timer);
      return this.#end();
    });
  }

  #end(): Promise<void> | void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#recovery?.close();
    return this.#port.close();
  }

  /** The number of workers that have this namespace, this one included. */
  override serverCount(): Promise<number> {
    return this.#port.requests.serverCount(this.#requestsTimeout);
  }

  /**
   * @returns a promise when the hub has to hear of the rooms: once it settles, every broadcast to them that
   *   any worker makes from then on arrives here
   */
  override addAll(id: SocketId, rooms: Set<Room>): Promise<void> | void {
    // The base class's bookkeeping in one pass: joining is a hot path, and new rooms have to be reported.
    const { report } = this.#port;
    const events = this.#roomEvents();
    this.#recovery?.beforeRooms(id);
    const joined = this.sids.get(id) ?? new Set();
    if (joined.size === 0) this.sids.set(id, joined);
    let isOwnRoom = false;
    for (const room of rooms) {
      joined.add(room);
      isOwnRoom ||= room === id;
      let members = this.rooms.get(room);
      if (!members) {
        members = new RoomMembers();
        this.rooms.set(room, members);
        report?.add(room, members);
        events?.emit("create-room", room);
      } else if (members.has(id)) {
        continue;
      }
      members.add(id);
      events?.emit("join-room", room, id);
    }
    const reported = this.#port.reported();
    this.#recovery?.onJoin(id, rooms, reported);
    events?.end();
    // Socket.IO writes CONNECT right after a socket has joined the room of its own id.
    const socket = isOwnRoom ? connectedSocket(this.nsp, id) : undefined;
    if (socket) this.#onConnect(socket, reported !== undefined);
    return reported;
  }

  /** For what changes rooms; undefined where nobody listens. */
  #roomEvents(): RoomEvents | undefined {
    return this.#isObserved ? new RoomEvents(this) : undefined;
  }

  #onConnect(socket: Socket, isToBeReported: boolean): void {
    batchWritesOf(engineOf(connectionOf(socket)), this.#sendDeeds);
    if (isToBeReported && !this.#recovery?.isReturning(socket.id)) this.#holdConnect(socket);
    this.#recovery?.onConnect(socket);
  }

  #holdConnect(socket: Socket): void {
    // The connection handlers run first: the hub hears of what they join at once, too.
    const known = Promise.resolve().then(() => this.#port.reported());
    holdUntil(known, this.#orSilent(known), connectionOf(socket));
  }

  override del(id: SocketId, room: Room): void {
    const events = this.#roomEvents();
    this.#recovery?.beforeRooms(id);
    this.sids.get(id)?.delete(room);
    this.#leave(id, room, events);
    this.#recovery?.onLeave(id, room);
    events?.end();
  }

  /** Socket.IO calls it when the client may come back. */
  override persistSession({ sid, data }: Session): void {
    this.#recovery?.persist(sid, data);
  }

  /** @returns null where there is nothing to restore, for whatever reason: the client gets a new session */
  override restoreSession(privateId: string, offset: string): Promise<Session> {
    // The base class returns null as well, and does not say so in its types.
    const restored = this.#recovery?.restore(privateId, offset) ?? Promise.resolve(null);
    return restored as unknown as Promise<Session>;
  }

  override delAll(id: SocketId): void {
    const events = this.#roomEvents();
    this.#recovery?.onGone(id);
    for (const room of this.sids.get(id) ?? NO_ROOMS) this.#leave(id, room, events);
    this.sids.delete(id);
    events?.end();
  }

  #leave(id: SocketId, room: Room, events: RoomEvents | undefined): void {
    const members = this.rooms.get(room);
    if (!members) return;
    if (members.delete(id)) events?.emit("leave-room", room, id);
    if (members.size > 0 || !this.rooms.delete(room)) return;
    this.#port.report?.remove(room, members);
    this.#port.changed();
    events?.emit("delete-room", room);
  }

  override broadcast(packet: Packet, options: BroadcastOptions): void {
    const { rooms, except = NO_ROOMS, flags = NO_FLAGS } = options;
    const recovery = this.#recovery;
    if (recovery && isPlainEvent(packet)) {
      return recovery.broadcast(packet, rooms, except, flags);
    }
    if (this.moves?.out.forward(packet, rooms)) return;
    const prepared = PreparedPacket.encode(this.nsp, packet);
    if (recovery && packet.id !== undefined && this.#isForOne(rooms)) this.#sendDeeds();
    if (!flags.local) this.#port.broadcast(prepared, rooms, except, flags);
    if (!recovery) return this.#deliver(prepared, rooms, except, flags, undefined, this.#runOwn);
    const write = (sids: ReadonlySet<SocketId>) => this.#write(prepared, sids, flags);
    recovery.inOrder(this.#connected({ rooms, except }), write);
  }

  /** With recovery, Socket.IO asks one socket by a broadcast to the room of its own id. */
  #isForOne(rooms: ReadonlySet<Room>): boolean {
    if (rooms.size !== 1) return false;
    for (const room of rooms) if (this.sids.has(room)) return true;
    return false;
  }

  override broadcastWithAck(
    packet: Packet,
    options: BroadcastOptions,
    clientCountCallback: (count: number) => void,
    ack: (...args: unknown[]) => void,
  ): void {
    const { flags, ...selection } = complete(options);
    const own = this.#connected(selection);
    this.#operations.broadcastWithAck(packet, selection, flags, own.size, clientCountCallback, ack);
    if (own.size === 0) return;
    const question = this.#question(packet, own.size, flags, ack);
    if (this.#recovery) this.#recovery.inOrder(own, question);
    else question(own);
  }

  /** The sockets of this worker, as its own broadcasts reach them: those that leave get them through the hub. */
  #connected(selection: Selection): Set<SocketId> {
    const connected = this.#reachable(selection);
    const out = this.moves?.out;
    if (out?.isBusy) for (const id of connected) if (out.isLeaving(id)) connected.delete(id);
    return connected;
  }

  /** The sockets of this worker, as the broadcasts of others reach them. */
  #reachable({ rooms, except }: Selection): Set<SocketId> {
    const reachable = new Set<SocketId>();
    for (const id of this.#select(rooms, except)) {
      if (this.nsp.sockets.has(id) || this.moves?.in.has(id)) reachable.add(id);
    }
    return reachable;
  }

  /** What asks sockets and waits for their acknowledgements, `count` of them. */
  #question(
    packet: Packet,
    count: number,
    flags: BroadcastFlags,
    ack: (...args: unknown[]) => void,
  ): (sids: ReadonlySet<SocketId>) => void {
    const id = nextPacketId(this.nsp);
    const prepared = PreparedPacket.encode(this.nsp, { ...packet, id });
    const deadline = this.#operations.awaitAcks(id, flags.timeout);
    let missing = count;
    const answer = (...args: unknown[]) => {
      if (--missing === 0) deadline.end();
      ack(...args);
    };
    // Who is asked late, after packets in flight, is sent the question all the same.
    return (sids) => {
      const whenAcked = deadline.state === "waiting" ? answer : undefined;
      this.#ask(prepared, id, sids, flags, whenAcked, this.#runOwn);
    };
  }

  /** Writes to these sockets and waits for their acknowledgements, if `ack` is given. */
  #ask(
    packet: PreparedPacket,
    packetId: number,
    sids: ReadonlySet<SocketId>,
    flags: BroadcastFlags,
    ack: ((...args: unknown[]) => void) | undefined,
    run: typeof runApplication,
  ): void {
    if (ack) for (const sid of sids) this.#withSocket(sid, (socket) => expectAck(socket, packetId, ack));
    this.#write(packet, sids, flags, run);
  }

  override addSockets(options: BroadcastOptions, rooms: Room[]): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local) this.#operations.join(selection, rooms);
    this.#addArriving(options, rooms);
    this.#byItself(flags, () => super.addSockets(options, rooms));
  }

  override delSockets(options: BroadcastOptions, rooms: Room[]): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local) this.#operations.leave(selection, rooms);
    this.#delArriving(options, rooms);
    this.#byItself(flags, () => super.delSockets(options, rooms));
  }

  override disconnectSockets(options: BroadcastOptions, close: boolean): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local) this.#operations.disconnect(selection, close);
    this.#disconnectArriving(options, close);
    this.#byItself(flags, () => super.disconnectSockets(options, close));
  }

  /**
   * @throws {RequestError} `HOLDFAST_ERR_REQUEST_TIMEOUT` when a worker is alive and silent; `missing` names
   *   it and `responses` has the sockets of the others
   */
  override async fetchSockets(options: BroadcastOptions): Promise<unknown[]> {
    const { flags, ...selection } = complete(options);
    const own = this.#byItself(flags, () => this.#fetchOwn(options));
    if (flags.local) return own;
    if (!this.#isMoving) return this.#operations.fetchSockets(selection, flags.timeout, await own);
    // The others are asked in the same turn: where sockets are must not change in between.
    const others = this.#operations.fetchSockets(selection, flags.timeout, []);
    const [here, elsewhere] = await Promise.all([own, others]);
    return [...here, ...elsewhere];
  }

  get #isMoving(): boolean {
    const { moves } = this;
    return moves !== undefined && (!moves.in.isEmpty || moves.out.isBusy);
  }

  /** Something that this worker does everywhere: sockets that leave are reached through the hub. */
  #byItself<T>({ local }: BroadcastFlags, work: () => T): T {
    return local || !this.moves ? work() : this.moves.out.without(work);
  }

  // What is done to this worker's sockets, and to those that are on their way to it.

  /** What comes back of this worker's own is for sessions that have come since, by the rooms of their own ids. */
  #meant<T extends { readonly rooms: ReadonlySet<Room>; readonly except?: ReadonlySet<Room> }>(
    selection: T,
  ): T {
    if (!this.#isReturned) return selection;
    const { rooms, except = NO_ROOMS } = selection;
    const sids = this.moves?.in.fresh((joined) => matches({ rooms, except }, joined)) ?? [];
    return { ...selection, rooms: new Set<Room>(sids.length > 0 ? sids : [NOWHERE]), except: NO_ROOMS };
  }

  /** The connected sockets of this worker that are selected. */
  #each({ rooms, except }: Selection, work: (socket: Socket) => void): void {
    for (const sid of this.#select(rooms, except)) {
      const socket = this.nsp.sockets.get(sid);
      if (socket) work(socket);
    }
  }

  #addArriving(options: BroadcastOptions, rooms: Room[]): void {
    for (const sid of this.#arriving(options)) {
      runApplication(() => void this.addAll(sid, new Set(rooms)));
    }
  }

  #delArriving(options: BroadcastOptions, rooms: Room[]): void {
    for (const sid of this.#arriving(options)) {
      for (const room of rooms) runApplication(() => this.del(sid, room));
    }
  }

  #disconnectArriving(options: BroadcastOptions, close: boolean): void {
    // Socket.IO's client knows its socket when the turn is over.
    const disconnect = (socket: Socket) => process.nextTick(() => disconnectApart(socket, close));
    for (const sid of this.#arriving(options)) this.moves?.in.push(sid, disconnect);
  }

  async #fetchOwn(options: BroadcastOptions): Promise<Socket[]> {
    const arriving = this.#arriving(options);
    const sockets = (await super.fetchSockets(options)) as Socket[];
    if (arriving.length === 0) return sockets;
    await this.moves?.in.settled(arriving);
    return [...sockets, ...arriving.flatMap((sid) => this.nsp.sockets.get(sid) ?? [])];
  }

  /** Those that the options mean and that are on their way here. */
  #arriving({ rooms, except = NO_ROOMS }: BroadcastOptions): SocketId[] {
    const { moves } = this;
    return moves && !moves.in.isEmpty ? moves.in.among(this.#select(rooms, except)) : [];
  }

  /** Does something with a socket: now, or when it has come. */
  #withSocket(sid: SocketId, work: (socket: Socket) => void): void {
    const socket = this.nsp.sockets.get(sid);
    if (socket) work(socket);
    else this.moves?.in.push(sid, work);
  }

  /** The ids of the sockets in these rooms, on all workers. */
  override async sockets(rooms: Set<Room>): Promise<Set<SocketId>> {
    const sockets = (await this.fetchSockets({ rooms })) as { id: SocketId }[];
    return new Set(sockets.map(({ id }) => id));
  }

  override serverSideEmit(packet: unknown[]): void {
    this.#operations.serverSideEmit(packet);
  }

  /** Also removes what watches for new listeners. */
  override removeAllListeners(event?: string | symbol): this {
    this.#isObserved = true;
    return event === undefined ? super.removeAllListeners() : super.removeAllListeners(event);
  }

  /** Writes to this worker's sockets. */
  #deliver(
    packet: PreparedPacket,
    rooms: ReadonlySet<Room>,
    except: ReadonlySet<Room>,
    flags: BroadcastFlags,
    decided?: ReadonlyMap<SocketId, boolean>,
    run = runApplication,
  ): void {
    const isPlain = rooms.size === 1 && except.size === 0 && !decided;
    this.#write(packet, isPlain ? this.#onlyRoom(rooms) : this.#select(rooms, except, decided), flags, run);
  }

  #write(
    packet: PreparedPacket,
    sids: ReadonlySet<SocketId>,
    flags: BroadcastFlags,
    run = runApplication,
  ): void {
    if (sids.size === 0) return;
    const { sockets } = this.nsp;
    const writeOptions = packet.writeOptions(flags);
    for (const sid of sids) {
      const socket = sockets.get(sid);
      if (socket) packet.writeTo(socket, writeOptions, run);
      else this.#writeLater(packet, sid, writeOptions);
    }
    if (packet.failure) this.#onError(packet.failure);
  }

  /** A socket that is on its way from another worker gets its packets when it is here; volatile ones, too. */
  #writeLater(packet: PreparedPacket, sid: SocketId, writeOptions: WriteOptions[]): void {
    this.moves?.in.push(sid, (socket) => packet.writeTo(socket, writeOptions));
  }

  #onlyRoom(rooms: ReadonlySet<Room>): ReadonlySet<SocketId> {
    for (const room of rooms) return this.rooms.get(room) ?? NOBODY;
    return NOBODY;
  }

  #select(
    rooms: ReadonlySet<Room>,
    except: ReadonlySet<Room>,
    decided?: ReadonlyMap<SocketId, boolean>,
  ): ReadonlySet<SocketId> {
    const selected = new Set<SocketId>();
    if (rooms.size === 0) for (const id of this.sids.keys()) selected.add(id);
    else for (const room of rooms) for (const id of this.rooms.get(room) ?? NOBODY) selected.add(id);
    for (const room of except) for (const id of this.rooms.get(room) ?? NOBODY) selected.delete(id);
    for (const [id, isFor] of decided ?? NOT_DECIDED) {
      if (isFor) selected.add(id);
      else selected.delete(id);
    }
    return selected;
  }

  #reportRooms(report: InterestReport): void {
    for (const [room, members] of this.rooms) report.add(room, members);
  }
}

/** Closes the connection also if a listener keeps Socket.IO from it, for the client's sockets in other namespaces. */
function disconnectApart(socket: Socket, close: boolean): void {
  runApplication(() => {
    try {
      socket.disconnect(close);
    } catch (error) {
      if (close) runApplication(() => void socket.conn.close());
      throw error;
    }
  });
}

const NOBODY: ReadonlySet<SocketId> = new Set();
const NOT_DECIDED: ReadonlyMap<SocketId, boolean> = new Map();
