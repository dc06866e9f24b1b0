/**
 * One namespace's way to its siblings in other workers: sends the frames of that namespace.
 * Owns: frames that wait until the hub has opened the namespace, and the interest report.
 * Runs in: workers; in the primary for its emitters.
 *
 * Longer than other files: what a broadcast passes is hot, and stays with the states that decide whether it is sent
 * or waits.
 */
import type { BroadcastFlags, Room } from "socket.io-adapter";
import type { HoldfastError } from "../errors.js";
import type { Outbox } from "../link/outbox.js";
import type { FieldReader } from "../wire/field-reader.js";
import { BroadcastFlag, FrameKind, OpenedFlag, OpenFlag } from "../wire/frame.js";
import { machineTime } from "../wire/machine-time.js";
import { canTravel, staysHere } from "../wire/names.js";
import { NamespaceKeys } from "../wire/room-key.js";
import type { Backlog } from "./backlog.js";
import { InterestReport, writeReport } from "./interest-report.js";
import type { FrameBody, OperationCode, PortHandlers, PortHost, WritablePacket } from "./port-contract.js";
import { flagBits, PortFrames } from "./port-frames.js";
import { PortRequests } from "./port-requests.js";
import { WaitingFrames } from "./waiting-frames.js";

const SMALL = { bytes: 0 };
/** A frame names at most this many rooms; an operation on more goes to the whole namespace. */
const MAX_ROOMS = 0xffff;
const NO_ROOMS: ReadonlySet<Room> = new Set();

export class NamespacePort {
  readonly name: string;
  readonly requests: PortRequests;
  readonly #member: PortHost;
  readonly #openFlags: number;
  readonly #handlers: PortHandlers;
  readonly #frames: PortFrames;
  /** The hub's id of the namespace; 0 until it is open. */
  #id = 0;
  /** As that hub has them; set while the namespace is open. */
  #keys: NamespaceKeys | undefined;
  /** Frames from before the namespace was open. */
  readonly #waiting: WaitingFrames;
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

  constructor(member: PortHost, name: string, openFlags: number, handlers: PortHandlers) {
    this.#member = member;
    this.name = name;
    this.#openFlags = openFlags;
    this.#since = member.state === "alone" ? undefined : machineTime();
    this.#handlers = handlers;
    this.#frames = new PortFrames(member, handlers, () => this.#id);
    this.#waiting = new WaitingFrames((error) => handlers.onError(error));
    this.requests = new PortRequests(member, this, {
      begin: (...frame) => this.#begin(...frame),
      whenOpen: (...args) => this.whenOpen(...args),
      checkRoom: () => this.#checkRoom(),
      whyAlone: () => this.#refusal ?? this.#member.aloneBecause,
    });
  }

  get id(): number {
    return this.#id;
  }

  /** Whether the namespace has nobody but this worker's own clients, and nothing is about to change that. */
  get isAlone(): boolean {
    return this.isRefused || this.#member.state === "alone";
  }

  /** Whether the hub cannot be told of the namespace, whatever becomes of the hub. */
  get isRefused(): boolean {
    return this.#refusal !== undefined;
  }

  /** How many bytes a value may have; undefined while there is no hub to say so. */
  get maxValueBytes(): number | undefined {
    return this.#member.maxMessageBytes || undefined;
  }

  /** Whether nothing waits for the hub: neither frames nor answers to requests. */
  get isIdle(): boolean {
    return this.#waiting.isEmpty && !this.#member.requests.isWaitedForBy(this);
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

  /** Calls `write` for a frame of this namespace. @returns false if there is no hub, or none yet */
  send(kind: number, flags: number, rooms: Set<Room> | undefined, write: (outbox: Outbox) => void): boolean {
    const outbox = this.#begin(kind, flags, rooms);
    if (!outbox) return false;
    write(outbox);
    this.#member.endFrame();
    return true;
  }

  broadcast(packet: WritablePacket, rooms: Set<Room>, except: Set<Room>, flags: BroadcastFlags): void {
    const { backlog } = this;
    if (backlog?.isFull(flags.volatile === true)) {
      if (!flags.volatile) backlog.tell();
      return;
    }
    if (this.#isWaiting) {
      this.whenOpen(() => this.broadcast(packet, rooms, except, flags), packet);
      return;
    }
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
   * @param body what the operation needs
   * @param claims rooms that sockets may join by it, all of which can travel
   * @throws {HoldfastError} `HOLDFAST_ERR_BACKLOG_FULL`, `HOLDFAST_ERR_MESSAGE_TOO_LARGE`; reported instead, if the
   *   hub does not know the namespace yet
   */
  command(
    operation: OperationCode,
    rooms: Set<Room> | undefined,
    body: FrameBody,
    claims: ReadonlySet<Room> = NO_ROOMS,
  ): void {
    this.#checkRoom();
    const send = () => {
      const outbox = this.#begin(FrameKind.command, 0, rooms);
      if (!outbox) return;
      outbox.u32(claims.size);
      for (const room of claims) outbox.u32(this.#keyOf(room));
      outbox.u8(operation);
      body.write(outbox);
      this.#member.endFrame();
    };
    this.whenOpen(send, body);
  }

  /** Somebody else opens the namespace. */
  giveWay(): void {
    this.#handlers.onTaken();
  }

  /** @returns a promise if that ends a hub that other hosts know */
  close(): Promise<void> | void {
    this.#waiting.clear();
    const ended = this.#member.close(this);
    this.#id = 0;
    this.#keys = undefined;
    this.#closed = true;
    this.#report = undefined;
    return ended;
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
    this.#makeKeys(this.#since ?? 0);
    if ((flags & OpenedFlag.recoverable) !== 0) this.#handlers.onRecoverable();
    if (this.#report) this.reported();
    // What the hub sends on comes after its word that the namespace is open: those who wait for that wait for both.
    if (this.#openFlags === OpenFlag.everything) this.#member.markDirty(this);
    this.#handlers.recovery?.onOpened(offset, this.#member.isBack);
    this.#waiting.sendAll();
  }

  /** Kept packets are placed in another order from now on. @param offset of the last packet */
  onOrder(offset: string): void {
    if (this.#id !== 0) this.#handlers.recovery?.onOrder(offset);
  }

  /** The hub makes keys with another seed from now on. */
  onSeed(): void {
    if (this.#id === 0) return;
    this.#makeKeys(this.#report?.since ?? 0);
    if (!this.#report || this.#dirty) return;
    // Also if there are no rooms: until the report has come, the hub takes this worker to have all.
    this.#dirty = true;
    this.#member.markDirty(this);
  }

  /** @param since when sockets may have joined rooms that the hub does not know of; 0 if there are none */
  #makeKeys(since: number): void {
    this.#keys = new NamespaceKeys(this.#member.roomSeed, this.name);
    if (this.#openFlags !== 0) return;
    this.#report = new InterestReport(this.#keys);
    this.#handlers.reportRooms(this.#report);
    this.#report.backdate(since);
  }

  /** The link is gone; a new one will get a new report. */
  onUnlinked(): void {
    this.#id = 0;
    this.#keys = undefined;
    this.requests.onUnlinked();
    this.#frames.onUnlinked();
    this.#report = undefined;
    this.#dirty = false;
    this.#since = undefined;
    this.#handlers.moves?.onUnlinked();
    this.#handlers.recovery?.onUnlinked();
  }

  /** There is no hub: nobody waits for it any longer. */
  onAlone(): void {
    this.#waiting.sendAll();
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
  writeInterest(nextOutbox: () => Outbox, nextSequence: () => number): void {
    this.#dirty = false;
    const { maxMessageBytes, seeds } = this.#member;
    writeReport(this.#report, this.#id, maxMessageBytes, seeds, nextOutbox, nextSequence);
  }

  onFrame(kind: number, flags: number, fields: FieldReader): void {
    this.#frames.onFrame(kind, flags, fields);
  }

  /** What waits for the hub, or until it knows the namespace; undefined without a hub. */
  get backlog(): Backlog | undefined {
    return this.#isWaiting ? this.#waiting.backlog : this.#member.backlog;
  }

  /** @throws {HoldfastError} `HOLDFAST_ERR_BACKLOG_FULL` if a command or a request cannot even wait */
  #checkRoom(): void {
    const refusal = this.backlog?.refusal;
    if (refusal) throw refusal;
  }

  /**
   * Runs `send` when the hub knows the namespace, in order, or at once if there is no hub.
   * @param frame what `send` will write takes so many bytes, nearly
   */
  whenOpen(send: () => void, frame: { readonly bytes: number } = SMALL): void {
    if (this.#isWaiting) this.#waiting.push(send, frame.bytes);
    else send();
  }

  get #isWaiting(): boolean {
    return this.#id === 0 && !this.#closed && !this.isAlone;
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
