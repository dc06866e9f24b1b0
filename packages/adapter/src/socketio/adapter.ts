/**
 * The Socket.IO adapter: what one namespace does with its own sockets and with its siblings in other workers.
 * Owns: the namespace's port, and the timers of acknowledgements that other workers wait for.
 * Runs in: workers.
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
import { HoldfastError, RequestError } from "../errors.js";
import { workerMember } from "../host/worker-connector.js";
import type { InterestReport } from "../member/interest-report.js";
import type { Member } from "../member/member.js";
import type { NamespacePort, PortHandlers, Responder, Selection } from "../member/namespace-port.js";
import { RoomMembers } from "../member/room-members.js";
import { type AdapterOptions, type ResolvedAdapterOptions, resolveAdapterOptions } from "../options.js";
import { OpenFlag, Operation } from "../wire/frame.js";
import { fromTable, type SocketDetails, type SocketsTable, toTable } from "../wire/sockets-table.js";
import { packValue } from "../wire/values.js";
import { holdUntil } from "./connect-gate.js";
import { PreparedPacket } from "./prepared-packet.js";
import {
  connectionOf,
  engineOf,
  expectAck,
  forgetAcks,
  nextPacketId,
  onServerSideEmit,
  type Packet,
  pathOf,
} from "./private-fields.js";
import { Recovery, type RecoveryContext } from "./recovery.js";
import { RecoveryPort } from "./recovery-port.js";
import { corkFlushes } from "./write-batch.js";

/** Socket.IO's flags as they reach an adapter; `timeout` comes from `io.timeout()`. */
interface Options extends Selection {
  readonly flags: BroadcastFlags;
}

/** What a command carries: whom it is for, and what is done to them. */
interface CommandValue {
  readonly rooms: Set<Room>;
  readonly except: Set<Room>;
  /** Rooms to join or to leave. */
  readonly change?: Room[];
  /** Whether to close the connection below. */
  readonly close?: boolean;
}

type AckCallback = (error: Error | null, responses: unknown[]) => void;

/**
 * Broadcasts and requests between the workers of a `node:cluster`. Made by {@link createAdapter}.
 * @see https://socket.io/docs/v4/adapter/
 */
export class HoldfastAdapter extends Adapter {
  declare readonly nsp: Namespace;
  declare rooms: Map<Room, RoomMembers>;
  readonly #options: ResolvedAdapterOptions;
  readonly #port: NamespacePort;
  /** Undefined where the server has no `connectionStateRecovery`. */
  readonly #recovery: Recovery | undefined;
  /** What places this server's packets; for the primary's emitter that depends on the workers' servers. */
  readonly #recoveryNow: () => Recovery | undefined;
  readonly #ackTimers = new Set<NodeJS.Timeout>();
  /** Whether anybody has ever listened for rooms; mostly nobody does, and the events are many. */
  #isObserved = false;

  constructor(
    nsp: Namespace,
    options: ResolvedAdapterOptions,
    member: Member,
    openFlags: number = options.interest ? 0 : OpenFlag.everything,
    recoversElsewhere?: (portName: string) => boolean,
  ) {
    super(nsp);
    this.once("newListener", () => {
      this.#isObserved = true;
    });
    this.#options = options;
    const context: RecoveryContext = {
      nsp,
      requestsTimeout: options.requestsTimeout,
      roomsOf: (id) => this.sids.get(id) ?? NO_ROOMS,
      hasRoom: (room) => this.rooms.has(room),
      deliver: (...delivery) => this.#deliver(...delivery),
      send: (packet, rooms, except, flags) => this.#port.broadcast(packet, rooms, except, flags),
      onError: (error) => options.onError(error),
    };
    this.#recovery = Recovery.of(context);
    const handlers: PortHandlers = {
      nsp,
      recovery: this.#recovery,
      onBroadcast: (packet, rooms, except, flags) => this.#deliver(packet, rooms, except, flags),
      onCommand: (operation, value) => this.#onCommand(operation, value),
      onRequest: (operation, value, responder) => this.#onRequest(operation, value, responder),
      onBroadcastWithAck: (...request) => this.#onBroadcastWithAck(...request),
      reportRooms: (report) => this.#reportRooms(report),
      onError: (error) => options.onError(error),
    };
    const scope = options.scope ?? pathOf(nsp);
    this.#port = member.open(`${scope}\n${nsp.name}`, openFlags, handlers);
    const recovery = recoversElsewhere ? Recovery.forEmitter(context) : this.#recovery;
    recovery?.connect(new RecoveryPort(this.#port, member));
    const isKept = recoversElsewhere ?? (() => true);
    this.#recoveryNow = () => (recovery && isKept(this.#port.name) ? recovery : undefined);
  }

  /** Ends the namespace's part in the cluster: requests in flight are settled, siblings stop counting it. */
  override close(): void {
    for (const timer of this.#ackTimers) clearTimeout(timer);
    this.#ackTimers.clear();
    this.#recovery?.close();
    this.#port.close();
  }

  /** The number of workers that have this namespace, this one included. */
  override serverCount(): Promise<number> {
    return this.#port.serverCount(this.#options.requestsTimeout);
  }

  /**
   * @returns a promise when the hub has to hear of the rooms: once it settles, every broadcast to them that
   *   any worker makes from then on arrives here
   */
  override addAll(id: SocketId, rooms: Set<Room>): Promise<void> | void {
    // The base class's bookkeeping in one pass: joining is a hot path, and new rooms are to be told.
    const { report } = this.#port;
    this.#recovery?.beforeRooms(id);
    if (this.sids.size === 0) corkFlushes(engineOf(this.nsp));
    const joined = this.sids.get(id) ?? new Set();
    if (joined.size === 0) this.sids.set(id, joined);
    let isConnecting = false;
    for (const room of rooms) {
      joined.add(room);
      isConnecting ||= room === id;
      let members = this.rooms.get(room);
      if (!members) {
        members = new RoomMembers();
        this.rooms.set(room, members);
        report?.add(room, members);
        if (this.#isObserved) this.emit("create-room", room);
      } else if (members.has(id)) {
        continue;
      }
      members.add(id);
      if (this.#isObserved) this.emit("join-room", room, id);
    }
    const reported = this.#port.reported();
    // Socket.IO writes CONNECT right after a socket has joined the room of its own id.
    if (reported && isConnecting && !this.#recovery?.isReturning(id)) this.#holdConnect(id);
    this.#recovery?.onJoin(id, rooms);
    return reported;
  }

  #holdConnect(id: SocketId): void {
    const socket = this.nsp.sockets.get(id);
    if (!socket) return;
    // The connection handlers run first: the hub hears of what they join at once, too.
    const known = Promise.resolve().then(() => this.#port.reported());
    void holdUntil(known, connectionOf(socket));
  }

  override del(id: SocketId, room: Room): void {
    this.#recovery?.beforeRooms(id);
    this.sids.get(id)?.delete(room);
    this.#leave(id, room);
    this.#recovery?.onLeave(id, room);
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
    this.#recovery?.onGone(id);
    for (const room of this.sids.get(id) ?? NO_ROOMS) this.#leave(id, room);
    this.sids.delete(id);
  }

  #leave(id: SocketId, room: Room): void {
    const members = this.rooms.get(room);
    if (!members) return;
    if (members.delete(id) && this.#isObserved) this.emit("leave-room", room, id);
    if (members.size > 0 || !this.rooms.delete(room)) return;
    this.#port.report?.remove(room, members);
    this.#port.changed();
    if (this.#isObserved) this.emit("delete-room", room);
  }

  override broadcast(packet: Packet, options: BroadcastOptions): void {
    const { rooms, except = NO_ROOMS, flags = NO_FLAGS } = options;
    const recovery = this.#recoveryNow();
    if (recovery && packet.type === EVENT && packet.id === undefined) {
      return recovery.broadcast(packet, rooms, except, flags);
    }
    const prepared = PreparedPacket.encode(this.nsp, packet);
    if (!flags.local) this.#port.broadcast(prepared, rooms, except, flags);
    if (!recovery) return this.#deliver(prepared, rooms, except, flags);
    const write = (sids: ReadonlySet<SocketId>) => this.#write(prepared, sids, flags);
    recovery.inOrder(this.#connected({ rooms, except }), write);
  }

  override broadcastWithAck(
    packet: Packet,
    options: BroadcastOptions,
    clientCountCallback: (count: number) => void,
    ack: (...args: unknown[]) => void,
  ): void {
    const { flags, ...selection } = complete(options);
    const servers = this.serverCount();
    const own = this.#connected(selection);
    let clients = own.size;
    const reportAll = async () => reportCounts(await servers, clients, clientCountCallback);
    if (flags.local) {
      void reportAll();
    } else {
      // Encoded before it gets an id: each worker numbers its acknowledgements by itself.
      const prepared = PreparedPacket.encode(this.nsp, packet);
      this.#port.broadcastWithAck(prepared, selection, flags, {
        timeoutMs: flags.timeout ?? this.#options.requestsTimeout,
        onResponse: (value) => {
          clients++;
          ack(value);
        },
        onSettled: (error) => {
          // Socket.IO's own timer ends what is not complete by then, with its own error.
          if (error?.code !== "HOLDFAST_ERR_REQUEST_TIMEOUT") void reportAll();
        },
      });
    }
    const ask = (sids: ReadonlySet<SocketId>) => this.#ask(packet, sids, flags, ack);
    if (this.#recovery) this.#recovery.inOrder(own, ask);
    else ask(own);
  }

  /** The sockets of this worker, as broadcasts reach them. */
  #connected({ rooms, except }: Selection): Set<SocketId> {
    const connected = new Set<SocketId>();
    for (const id of this.#select(rooms, except)) if (this.nsp.sockets.has(id)) connected.add(id);
    return connected;
  }

  /** Writes to these sockets and waits for their acknowledgements. */
  #ask(
    packet: Packet,
    sids: ReadonlySet<SocketId>,
    flags: BroadcastFlags,
    ack: (...args: unknown[]) => void,
  ): void {
    if (sids.size === 0) return;
    const id = nextPacketId(this.nsp);
    const prepared = PreparedPacket.encode(this.nsp, { ...packet, id });
    for (const sid of sids) {
      const socket = this.nsp.sockets.get(sid);
      if (socket) expectAck(socket, id, ack);
    }
    this.#write(prepared, sids, flags);
  }

  override addSockets(options: BroadcastOptions, rooms: Room[]): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local) {
      this.#port.command(Operation.socketsJoin, selection.rooms, { ...selection, change: rooms }, rooms);
    }
    super.addSockets(options, rooms);
  }

  override delSockets(options: BroadcastOptions, rooms: Room[]): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local)
      this.#port.command(Operation.socketsLeave, selection.rooms, { ...selection, change: rooms });
    super.delSockets(options, rooms);
  }

  override disconnectSockets(options: BroadcastOptions, close: boolean): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local)
      this.#port.command(Operation.disconnectSockets, selection.rooms, { ...selection, close });
    super.disconnectSockets(options, close);
  }

  /**
   * @throws {RequestError} `HOLDFAST_ERR_REQUEST_TIMEOUT` when a worker is alive and silent; `missing` names
   *   it and `responses` has the sockets of the others
   */
  override async fetchSockets(options: BroadcastOptions): Promise<unknown[]> {
    const { flags, ...selection } = complete(options);
    const sockets: unknown[] = await super.fetchSockets(options);
    if (flags.local) return sockets;
    return new Promise((resolve, reject) => {
      this.#port.request(Operation.fetchSockets, selection.rooms, selection, {
        timeoutMs: flags.timeout ?? this.#options.requestsTimeout,
        onResponse: (value) => {
          for (const details of fromTable(value as SocketsTable)) sockets.push(details);
        },
        onSettled: (error) => {
          if (!error) return resolve(sockets);
          if (error instanceof RequestError) error.responses = sockets;
          reject(error);
        },
      });
    });
  }

  /** The ids of the sockets in these rooms, on all workers. */
  override async sockets(rooms: Set<Room>): Promise<Set<SocketId>> {
    const sockets = (await this.fetchSockets({ rooms })) as { id: SocketId }[];
    return new Set(sockets.map(({ id }) => id));
  }

  override serverSideEmit(packet: unknown[]): void {
    const ack = packet.at(-1);
    if (typeof ack !== "function") {
      this.#port.command(Operation.serverSideEmit, undefined, packet);
      return;
    }
    const responses: unknown[] = [];
    this.#port.request(Operation.serverSideEmit, undefined, packet.slice(0, -1), {
      timeoutMs: this.#options.requestsTimeout,
      onResponse: (value) => responses.push(value),
      onSettled: (error) => (ack as AckCallback)(error ?? null, responses),
    });
  }

  /** Takes what watches for new listeners away, too. */
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
  ): void {
    const isPlain = rooms.size === 1 && except.size === 0 && !decided;
    this.#write(packet, isPlain ? this.#onlyRoom(rooms) : this.#select(rooms, except, decided), flags);
  }

  #write(packet: PreparedPacket, sids: ReadonlySet<SocketId>, flags: BroadcastFlags): void {
    if (sids.size === 0) return;
    const { sockets } = this.nsp;
    const writeOptions = packet.writeOptions(flags);
    for (const sid of sids) {
      const socket = sockets.get(sid);
      if (socket) packet.writeTo(socket, writeOptions);
    }
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

  #onCommand(operation: number, value: unknown): void {
    if (operation === Operation.serverSideEmit) return onServerSideEmit(this.nsp, value as unknown[]);
    const { rooms, except, change = [], close = false } = value as CommandValue;
    const options = { rooms, except };
    if (operation === Operation.socketsJoin) super.addSockets(options, change);
    else if (operation === Operation.socketsLeave) super.delSockets(options, change);
    else if (operation === Operation.disconnectSockets) super.disconnectSockets(options, close);
  }

  #onRequest(operation: number, value: unknown, responder: Responder): void {
    if (operation === Operation.fetchSockets) void this.#onFetchSockets(value as Selection, responder);
    else if (operation === Operation.serverSideEmit) this.#onServerSideEmit(value as unknown[], responder);
    else responder.fail(new HoldfastError("HOLDFAST_ERR_BROKEN_FRAME", `Unknown operation ${operation}.`));
  }

  async #onFetchSockets(selection: Selection, responder: Responder): Promise<void> {
    const sockets = ((await super.fetchSockets(selection)) as Socket[]).map(describe);
    try {
      responder.finish(toTable(sockets));
    } catch (error) {
      responder.fail(nameUnserializable(sockets) ?? (error as Error));
    }
  }

  #onServerSideEmit(args: unknown[], responder: Responder): void {
    let answered = false;
    onServerSideEmit(this.nsp, [
      ...args,
      (response: unknown) => {
        if (answered) return;
        answered = true;
        responder.finish(response);
      },
    ]);
  }

  #onBroadcastWithAck(
    prepared: PreparedPacket,
    { rooms, except }: Selection,
    flags: BroadcastFlags,
    responder: Responder,
  ): void {
    const { packet } = prepared;
    if (!packet) return responder.end();
    let missing = 0;
    super.broadcastWithAck(
      packet,
      { rooms, except, flags },
      (count) => {
        missing = count;
      },
      (value: unknown) => {
        if (--missing === 0) {
          clearTimeout(timer);
          this.#ackTimers.delete(timer);
          responder.finish(value);
        } else {
          responder.respond(value);
        }
      },
    );
    if (missing === 0) return responder.end();
    // The asker has stopped waiting by then.
    const timer = setTimeout(() => {
      this.#ackTimers.delete(timer);
      if (packet.id !== undefined) forgetAcks(this.nsp, packet.id);
      responder.end();
    }, flags.timeout);
    this.#ackTimers.add(timer);
  }

  #reportRooms(report: InterestReport): void {
    for (const [room, members] of this.rooms) report.add(room, members);
  }
}

/**
 * Makes the adapter for `io.adapter()`. Call it in a worker.
 *
 * @example
 * const io = new Server(httpServer);
 * io.adapter(createAdapter());
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_NOT_WORKER` outside a worker of `node:cluster`,
 *   `HOLDFAST_ERR_INVALID_OPTION`
 * @see https://socket.io/docs/v4/cluster-adapter/
 */
export function createAdapter(options?: AdapterOptions): (nsp: Namespace) => HoldfastAdapter {
  const resolved = resolveAdapterOptions(options);
  const member = workerMember();
  // Socket.IO calls it with `new`, which an arrow function does not allow.
  function adapterFor(nsp: Namespace): HoldfastAdapter {
    return new HoldfastAdapter(nsp, resolved, member);
  }
  return adapterFor;
}

const NOBODY: ReadonlySet<SocketId> = new Set();
const NO_ROOMS: Set<Room> = new Set();
const NO_FLAGS: BroadcastFlags = {};
const NOT_DECIDED: ReadonlyMap<SocketId, boolean> = new Map();
/** "event" in Socket.IO's protocol. */
const EVENT = 2;

function complete({ rooms, except, flags }: BroadcastOptions): Options {
  return { rooms, except: except ?? NO_ROOMS, flags: flags ?? NO_FLAGS };
}

/**
 * Tells Socket.IO's operator that every server has been counted. It compares with `serverCount()`, asked for
 * in the same turn as the broadcast, and expects one call for each server; all clients go into the first.
 */
function reportCounts(servers: number, clients: number, clientCountCallback: (count: number) => void): void {
  // The primary's emitter is none of the servers, and there may be no worker.
  if (servers > 0) clientCountCallback(clients);
  for (let i = 1; i < servers; i++) clientCountCallback(0);
}

/** What other workers may know of a socket; a session store is left out, it may hold on to anything. */
function describe({ id, handshake, rooms, data }: Socket): SocketDetails {
  const { sessionStore: _, ...rest } = handshake as typeof handshake & { sessionStore?: unknown };
  return { id, handshake: rest, rooms: [...rooms], data };
}

/** The error for the first socket whose data has no encoded form. */
function nameUnserializable(sockets: readonly SocketDetails[]): Error | undefined {
  for (const { id, data } of sockets) {
    for (const [key, value] of Object.entries(data as object)) {
      try {
        packValue(value);
      } catch (error) {
        return new Error(`socket.data.${key} of socket ${id}: ${(error as Error).message}`);
      }
    }
  }
  return undefined;
}
