/**
 * One namespace's way to its siblings in other workers: sends the frames of that namespace.
 * Owns: frames that wait until the hub has opened the namespace, and the interest report.
 * Runs in: workers; in the primary for its emitters.
 */
import type { BroadcastFlags, Room } from "socket.io-adapter";
import type { HoldfastError } from "../errors.js";
import type { Outbox } from "../link/outbox.js";
import type { FieldReader } from "../wire/field-reader.js";
import {
  BroadcastFlag,
  FrameKind,
  HEADER_BYTES,
  KEY_BYTES,
  OpenedFlag,
  OpenFlag,
  Operation,
} from "../wire/frame.js";
import { machineTime } from "../wire/machine-time.js";
import { canTravel, staysHere } from "../wire/names.js";
import { NamespaceKeys } from "../wire/room-key.js";
import { InterestReport } from "./interest-report.js";
import type {
  OperationCode,
  PortHandlers,
  PortHost,
  RequestCall,
  Selection,
  WritablePacket,
} from "./port-contract.js";
import { flagBits, PortFrames } from "./port-frames.js";

/** A frame names at most this many rooms; an operation on more goes to the whole namespace. */
const MAX_ROOMS = 0xffff;
const NO_ROOMS: ReadonlySet<Room> = new Set();

export class NamespacePort {
  readonly name: string;
  readonly #member: PortHost;
  readonly #openFlags: number;
  readonly #handlers: PortHandlers;
  readonly #frames: PortFrames;
  /** The hub's id of the namespace; 0 until it is open. */
  #id = 0;
  /** As that hub has them; set while the namespace is open. */
  #keys: NamespaceKeys | undefined;
  /** Frames from before the namespace was open, in order. */
  #waiting: (() => void)[] = [];
  #report: InterestReport | undefined;
  /**
   * Since when the hub's packets count for this server: since it was made, or since the worker found the hub again.
   * Undefined while there is none.
   */
  #since: number | undefined;
  #dirty = false;
  #closed = false;
  /** Why the hub cannot be told of the namespace: its name, which a client may have chosen, is too long. */
  #refusal: HoldfastError | undefined;
  /** The answer to every `serverCount()` of this turn. */
  #counting: Promise<number> | undefined;

  constructor(member: PortHost, name: string, openFlags: number, handlers: PortHandlers) {
    this.#member = member;
    this.name = name;
    this.#openFlags = openFlags;
    this.#since = member.state === "alone" ? undefined : machineTime();
    this.#handlers = handlers;
    this.#frames = new PortFrames(member, handlers, () => this.#id);
  }

  get id(): number {
    return this.#id;
  }

  /** Whether the namespace has nobody but this worker's own clients, and nothing is about to change that. */
  get isAlone(): boolean {
    return this.#refusal !== undefined || this.#member.state === "alone";
  }

  /** How many bytes a value may have; undefined while there is no hub to say so. */
  get maxValueBytes(): number | undefined {
    return this.#member.maxMessageBytes || undefined;
  }

  /** Whether nothing waits for the hub: neither frames nor answers to requests. */
  get isIdle(): boolean {
    return this.#waiting.length === 0 && !this.#member.requests.isWaitedForBy(this);
  }

  /** What the namespace's rooms are reported to; undefined while nobody wants to know. */
  get report(): InterestReport | undefined {
    return this.#report;
  }

  /** Call after a change of `report`. */
  changed(): void {
    if (this.#dirty || (this.#report?.isEmpty ?? true)) return;
    this.#dirty = true;
    this.#member.markDirty(this);
  }

  /** Call after rooms were added to `report`. @returns what `socket.join()` returns */
  reported(): Promise<void> | undefined {
    // The hub need not know the rooms, only the namespace.
    if (this.#openFlags !== 0) return this.#id === 0 ? this.#member.synced() : undefined;
    this.changed();
    return this.#member.synced();
  }

  /**
   * How many workers have this namespace; 1 while there is no hub. Calls within a turn get the same answer.
   * Never rejects: Socket.IO's broadcast with acknowledgement does not handle it.
   */
  serverCount(timeoutMs: number): Promise<number> {
    if (!this.#counting) {
      this.#counting = new Promise((resolve) => this.#count(timeoutMs, resolve));
      queueMicrotask(() => {
        this.#counting = undefined;
      });
    }
    return this.#counting;
  }

  /** Calls `write` for a frame of this namespace. @returns false if there is no hub, or none yet */
  send(kind: number, flags: number, rooms: Set<Room> | undefined, write: (outbox: Outbox) => void): boolean {
    const outbox = this.#begin(kind, flags, rooms);
    if (!outbox) return false;
    write(outbox);
    this.#member.endFrame();
    return true;
  }

  broadcast(packet: WritablePacket, rooms: Set<Room>, except: Set<Room>, flags: BroadcastFlags): void {
    if (this.#isWaiting) {
      this.#waiting.push(() => this.broadcast(packet, rooms, except, flags));
      return;
    }
    if (this.#member.isFull(flags.volatile)) return;
    const { offsetFromEnd } = packet;
    const bits = offsetFromEnd === 0 ? flagBits(flags) : flagBits(flags) | BroadcastFlag.offset;
    const outbox = this.#begin(FrameKind.broadcast, bits, rooms);
    if (!outbox) return;
    if (offsetFromEnd !== 0) outbox.u32(offsetFromEnd);
    outbox.names(rooms);
    outbox.names(except);
    packet.write(outbox);
    this.#member.endFrame();
  }

  /**
   * Makes the other workers do something.
   * @param rooms whose workers; undefined for every server of the namespace
   * @param write what the operation needs
   * @param claims rooms that sockets may join by it, all of which can travel
   */
  command(
    operation: OperationCode,
    rooms: Set<Room> | undefined,
    write: (outbox: Outbox) => void,
    claims: ReadonlySet<Room> = NO_ROOMS,
  ): void {
    this.whenOpen(() => {
      if (this.#member.isFull()) return;
      const outbox = this.#begin(FrameKind.command, 0, rooms);
      if (!outbox) return;
      outbox.u32(claims.size);
      for (const room of claims) outbox.u32(this.#keyOf(room));
      outbox.u8(operation);
      write(outbox);
      this.#member.endFrame();
    });
  }

  /** Asks the other workers; the rooms lead to them as in {@link command}. */
  request(
    operation: OperationCode,
    rooms: Set<Room> | undefined,
    write: (outbox: Outbox) => void,
    call: RequestCall,
  ): void {
    this.#request(operation, 0, rooms, call, write);
  }

  /** Broadcasts and asks for the clients' acknowledgements. */
  broadcastWithAck(
    packet: WritablePacket,
    selection: Selection,
    flags: BroadcastFlags,
    call: RequestCall,
  ): void {
    this.#request(Operation.broadcastWithAck, flagBits(flags), selection.rooms, call, (outbox) => {
      outbox.u32(call.timeoutMs);
      outbox.names(selection.rooms);
      outbox.names(selection.except);
      packet.write(outbox);
    });
  }

  /** Somebody else opens the namespace. */
  giveWay(): void {
    this.#handlers.onTaken();
  }

  close(): void {
    this.#waiting = [];
    this.#member.close(this);
    this.#id = 0;
    this.#keys = undefined;
    this.#closed = true;
    this.#report = undefined;
  }

  /** Tells the hub of the namespace. @returns false if it cannot be told; that has been reported */
  writeOpen(token: number): boolean {
    this.#refusal = undefined;
    try {
      this.#writeOpen(token);
      return true;
    } catch (error) {
      this.#refusal = error as HoldfastError;
      this.#handlers.onError(this.#refusal);
      this.onAlone();
      this.onNoHub();
      return false;
    }
  }

  #writeOpen(token: number): void {
    const { recovery } = this.#handlers;
    const flags = this.#openFlags | (recovery ? OpenFlag.recovery : 0);
    const outbox = this.#member.beginFrame(FrameKind.open, flags, 0);
    this.#since ??= machineTime();
    outbox?.u32(token);
    outbox?.u64(Math.floor(this.#since));
    if (recovery) {
      outbox?.u32(recovery.durationMs);
      outbox?.u32(recovery.retainMs);
    }
    outbox?.raw(Buffer.from(this.name, "utf16le"));
    this.#member.endFrame();
  }

  onOpened(id: number, flags: number, offset: string): void {
    this.#id = id;
    this.#keys = new NamespaceKeys(this.#member.roomSeed, this.name);
    if ((flags & OpenedFlag.recoverable) !== 0) this.#handlers.onRecoverable();
    if (this.#openFlags === 0) {
      this.#report = new InterestReport(this.#keys);
      this.#handlers.reportRooms(this.#report);
      this.#report.backdate(this.#since ?? 0);
      this.reported();
    }
    // What the hub sends on comes after its word that the namespace is open: those who wait for that wait for both.
    if (this.#openFlags === OpenFlag.everything) this.#member.markDirty(this);
    this.#handlers.recovery?.onOpened(offset);
    this.#sendWaiting();
  }

  /** The link is gone; a new one will get a new report. */
  onUnlinked(): void {
    this.#id = 0;
    this.#keys = undefined;
    this.#report = undefined;
    this.#dirty = false;
    this.#since = undefined;
    this.#handlers.recovery?.onUnlinked();
  }

  /** There is no hub: nobody waits for it any longer. */
  onAlone(): void {
    this.#sendWaiting();
    this.#handlers.recovery?.onAlone();
  }

  /** There is no hub, and none is looked for. */
  onNoHub(): void {
    this.#handlers.recovery?.onNoHub();
  }

  onError(error: HoldfastError): void {
    this.#handlers.onError(error);
  }

  withdraw(): void {
    this.#report?.withdraw();
    this.changed();
  }

  /** Writes what there is to report, in as many frames as the limit asks for. */
  writeInterest(outbox: Outbox, nextSequence: () => number): void {
    this.#dirty = false;
    const since = this.#report?.since ?? 0;
    const entries = this.#report?.take() ?? new Uint32Array(0);
    const most = Math.floor((this.#member.maxMessageBytes - HEADER_BYTES - 12) / KEY_BYTES);
    let at = 0;
    do {
      const end = Math.min(at + most, entries.length);
      outbox.begin(FrameKind.interest, 0, this.#id);
      outbox.u32(nextSequence());
      outbox.u64(end === entries.length ? since : 0);
      outbox.u32s(entries.subarray(at, end));
      outbox.end();
      at = end;
    } while (at < entries.length);
  }

  onFrame(kind: number, flags: number, fields: FieldReader): void {
    this.#frames.onFrame(kind, flags, fields);
  }

  #request(
    operation: OperationCode,
    flags: number,
    rooms: Set<Room> | undefined,
    call: RequestCall,
    write: (outbox: Outbox) => void,
  ): void {
    if (rooms && staysHere(rooms)) return call.onSettled(undefined);
    this.whenOpen(() => {
      if (this.#member.isFull()) return call.onSettled(this.#member.backlogFull());
      const outbox = this.#begin(FrameKind.request, flags, rooms);
      if (!outbox) return call.onSettled(this.#refusal ?? this.#member.aloneBecause);
      const id = this.#member.requests.open(this, call);
      outbox.u32(this.#member.id);
      outbox.u32(id);
      outbox.u8(operation);
      write(outbox);
      try {
        this.#member.endFrame();
      } catch (error) {
        this.#member.requests.forget(id);
        throw error;
      }
    });
  }

  #count(timeoutMs: number, onCount: (servers: number) => void): void {
    let servers = 1;
    const call: RequestCall = {
      timeoutMs,
      onResponse: (value) => {
        servers = value as number;
      },
      onSettled: () => onCount(servers),
    };
    this.whenOpen(() => {
      const outbox = this.#begin(FrameKind.count, 0, undefined);
      if (!outbox) return onCount(servers);
      outbox.u32(this.#member.requests.open(this, call));
      outbox.end();
    });
  }

  /** Runs `send` when the hub knows the namespace, in order, or at once if there is no hub. */
  whenOpen(send: () => void): void {
    if (this.#isWaiting) this.#waiting.push(send);
    else send();
  }

  get #isWaiting(): boolean {
    return this.#id === 0 && !this.#closed && !this.isAlone;
  }

  #sendWaiting(): void {
    for (const send of this.#waiting.splice(0)) {
      try {
        send();
      } catch (error) {
        // The call that made the frame has returned long ago.
        this.#handlers.onError(error as HoldfastError);
      }
    }
  }

  /** @returns undefined if there is no hub, or nobody elsewhere can be in these rooms */
  #begin(kind: number, flags: number, rooms: Set<Room> | undefined): Outbox | undefined {
    if (this.#id === 0 || (rooms && staysHere(rooms))) return undefined;
    const outbox = this.#member.beginFrame(kind, flags, this.#id);
    if (!outbox || !rooms || rooms.size > MAX_ROOMS) return outbox;
    for (const room of rooms) if (canTravel(room)) outbox.key(this.#keyOf(room));
    return outbox;
  }

  #keyOf(room: Room): number {
    // A namespace that is open has its keys.
    return (this.#keys as NamespaceKeys).of(room);
  }
}
