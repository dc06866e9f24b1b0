/**
 * One namespace's way to its siblings in other workers: writes and reads the frames of that namespace.
 * Owns: frames that wait until the hub has opened the namespace, and the interest report. Runs in: workers.
 */
import type { Namespace } from "socket.io";
import type { BroadcastFlags, Room } from "socket.io-adapter";
import { HoldfastError, type RequestError } from "../errors.js";
import type { Outbox } from "../link/outbox.js";
import { PreparedPacket } from "../socketio/prepared-packet.js";
import type { FieldReader } from "../wire/field-reader.js";
import {
  BroadcastFlag,
  FrameKind,
  HEADER_BYTES,
  KEY_BYTES,
  OpenFlag,
  Operation,
  ResponseFlag,
} from "../wire/frame.js";
import { OFFSET_BYTES } from "../wire/offset.js";
import { roomKey } from "../wire/room-key.js";
import { packValue, unpackValue } from "../wire/values.js";
import { InterestReport } from "./interest-report.js";
import type { Member } from "./member.js";
import { NamesMemo } from "./names-memo.js";
import type { Requests } from "./requests.js";

/** A frame names at most this many rooms; an operation on more goes to the whole namespace. */
const MAX_ROOMS = 0xffff;

export interface Selection {
  readonly rooms: Set<Room>;
  readonly except: Set<Room>;
}

export type OperationCode = (typeof Operation)[keyof typeof Operation];

/** Answers one request of another worker. */
export interface Responder {
  /** One answer of possibly several. */
  respond(value: unknown): void;
  /** The last answer. */
  finish(value: unknown): void;
  /** There is no more to say. */
  end(): void;
  /** The request could not be carried out. */
  fail(error: Error): void;
}

export interface PortHandlers {
  readonly nsp: Namespace;
  /** Another worker broadcasts. */
  onBroadcast(
    packet: PreparedPacket,
    rooms: ReadonlySet<Room>,
    except: ReadonlySet<Room>,
    flags: BroadcastFlags,
  ): void;
  onCommand(operation: number, value: unknown): void;
  onRequest(operation: number, value: unknown, responder: Responder): void;
  /** A broadcast whose clients' acknowledgements the asker waits for. */
  onBroadcastWithAck(
    packet: PreparedPacket,
    selection: Selection,
    flags: BroadcastFlags,
    responder: Responder,
  ): void;
  /** Fills the report with the rooms that exist now. */
  reportRooms(report: InterestReport): void;
  onError(error: HoldfastError): void;
  /** Undefined where the server has no `connectionStateRecovery`. */
  readonly recovery: RecoveryHandlers | undefined;
}

/** What connection state recovery does with the hub's word. */
export interface RecoveryHandlers {
  /** How long a session lives without a socket, and packets are kept. Milliseconds. */
  readonly durationMs: number;
  readonly retainMs: number;
  /** The hub knows the namespace; `offset` is that of the last packet. */
  onOpened(offset: string): void;
  /** A frame that other workers' servers have no use for. */
  onFrame(kind: number, flags: BroadcastFlags, fields: FieldReader): void;
  /** Writes the newest offset over the placeholder of a packet that is not kept. */
  complete(place: Buffer): void;
  onUnlinked(): void;
  onAlone(): void;
}

export interface RequestCall {
  readonly timeoutMs: number;
  onResponse(value: unknown): void;
  onSettled(error: RequestError | HoldfastError | undefined): void;
}

export class NamespacePort {
  readonly name: string;
  readonly #member: Member;
  readonly #openFlags: number;
  readonly #handlers: PortHandlers;
  /** The hub's id of the namespace; 0 until it is open. */
  #id = 0;
  /** Frames from before the namespace was open, in order. */
  #waiting: (() => void)[] = [];
  #report: InterestReport | undefined;
  #dirty = false;
  #closed = false;
  readonly #lastRooms = new NamesMemo();
  readonly #lastExcept = new NamesMemo();
  /** The answer to every `serverCount()` of this turn. */
  #counting: Promise<number> | undefined;

  constructor(member: Member, name: string, openFlags: number, handlers: PortHandlers) {
    this.#member = member;
    this.name = name;
    this.#openFlags = openFlags;
    this.#handlers = handlers;
  }

  get id(): number {
    return this.#id;
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
    this.#end(outbox);
    return true;
  }

  broadcast(packet: PreparedPacket, rooms: Set<Room>, except: Set<Room>, flags: BroadcastFlags): void {
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
    this.#end(outbox);
  }

  /**
   * Makes the other workers do something.
   * @param rooms whose workers; undefined for every server of the namespace
   * @param claims rooms that sockets may join by it
   */
  command(
    operation: OperationCode,
    rooms: Set<Room> | undefined,
    value: unknown,
    claims: readonly Room[] = [],
  ): void {
    const bytes = packValue(value);
    this.whenOpen(() => {
      if (this.#member.isFull()) return;
      const outbox = this.#begin(FrameKind.command, 0, rooms);
      if (!outbox) return;
      outbox.u32(claims.length);
      for (const room of claims) outbox.u32(roomKey(this.#id, String(room)));
      outbox.u8(operation);
      outbox.raw(bytes);
      this.#end(outbox);
    });
  }

  /** Asks the other workers; the rooms lead to them as in {@link command}. */
  request(operation: OperationCode, rooms: Set<Room> | undefined, value: unknown, call: RequestCall): void {
    const bytes = packValue(value);
    this.#request(operation, 0, rooms, call, (outbox) => outbox.raw(bytes));
  }

  /** Broadcasts and asks for the clients' acknowledgements. */
  broadcastWithAck(
    packet: PreparedPacket,
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

  close(): void {
    this.#waiting = [];
    this.#member.close(this);
    this.#id = 0;
    this.#closed = true;
    this.#report = undefined;
  }

  /** Tells the hub of the namespace. */
  writeOpen(token: number): void {
    const { recovery } = this.#handlers;
    const flags = this.#openFlags | (recovery ? OpenFlag.recovery : 0);
    const outbox = this.#member.beginFrame(FrameKind.open, flags, 0);
    outbox?.u32(token);
    if (recovery) {
      outbox?.u32(recovery.durationMs);
      outbox?.u32(recovery.retainMs);
    }
    outbox?.raw(Buffer.from(this.name));
    outbox?.end();
  }

  onOpened(id: number, offset: string): void {
    this.#id = id;
    if (this.#openFlags === 0) {
      this.#report = new InterestReport(id);
      this.#handlers.reportRooms(this.#report);
      this.reported();
    }
    this.#handlers.recovery?.onOpened(offset);
    this.#sendWaiting();
  }

  /** The link is gone; a new one will get a new report. */
  onUnlinked(): void {
    this.#id = 0;
    this.#report = undefined;
    this.#dirty = false;
    this.#handlers.recovery?.onUnlinked();
  }

  /** There is no hub: nobody waits for it any longer. */
  onAlone(): void {
    this.#sendWaiting();
    this.#handlers.recovery?.onAlone();
  }

  onError(error: HoldfastError): void {
    this.#handlers.onError(error);
  }

  /** Writes what there is to report, in as many frames as the limit asks for. */
  writeInterest(outbox: Outbox, nextSequence: () => number): void {
    this.#dirty = false;
    const entries = this.#report?.take() ?? new Uint32Array(0);
    const most = Math.floor((this.#member.maxMessageBytes - HEADER_BYTES - 4) / KEY_BYTES);
    let at = 0;
    do {
      outbox.begin(FrameKind.interest, 0, this.#id);
      outbox.u32(nextSequence());
      outbox.u32s(entries.subarray(at, at + most));
      outbox.end();
      at += most;
    } while (at < entries.length);
  }

  onFrame(kind: number, flags: number, fields: FieldReader): void {
    if (kind === FrameKind.broadcast) this.#onBroadcast((flags & BroadcastFlag.offset) !== 0, flags, fields);
    else if (kind === FrameKind.command) this.#onCommand(fields);
    else if (kind === FrameKind.request) this.#onRequest(flags, fields);
    else if (this.#handlers.recovery) this.#handlers.recovery.onFrame(kind, readFlags(flags), fields);
    // Other workers' servers have recovery and this one has not.
    else if (kind === FrameKind.record) this.#onBroadcast(true, flags, fields);
  }

  #onBroadcast(hasOffset: boolean, flags: number, fields: FieldReader): void {
    const { nsp, recovery, onBroadcast } = this.#handlers;
    const place = hasOffset ? fields.tail(fields.u32(), OFFSET_BYTES) : undefined;
    if (place) recovery?.complete(place);
    const rooms = this.#lastRooms.read(fields);
    const except = this.#lastExcept.read(fields);
    onBroadcast(PreparedPacket.read(nsp, fields, hasOffset), rooms, except, readFlags(flags));
  }

  /** Reads a response that came for one of `requests`. */
  static readResponse(requests: Requests, flags: number, fields: FieldReader): void {
    const id = fields.u32();
    const member = fields.u32();
    const value = fields.done ? undefined : { value: unpackValue(fields.rest()) };
    if ((flags & ResponseFlag.error) !== 0) return requests.failed(id, member, String(value?.value));
    if (value) requests.answered(id, value.value);
    if ((flags & ResponseFlag.final) !== 0) requests.finished(id, member);
  }

  #onCommand(fields: FieldReader): void {
    const claims = fields.u32();
    fields.skip(claims * 4);
    try {
      this.#handlers.onCommand(fields.u8(), unpackValue(fields.rest()));
    } finally {
      // Whatever a listener of the application threw. Interest that came of the command goes before this on
      // the link: `beginFrame` sees to it.
      if (claims > 0) this.#member.beginFrame(FrameKind.settled, 0, this.#id)?.end();
    }
  }

  #onRequest(flags: number, fields: FieldReader): void {
    const asker = fields.u32();
    const id = fields.u32();
    const operation = fields.u8();
    const responder = this.#responder(asker, id);
    try {
      if (operation !== Operation.broadcastWithAck) {
        return this.#handlers.onRequest(operation, unpackValue(fields.rest()), responder);
      }
      const ackFlags = { ...readFlags(flags), timeout: fields.u32() };
      const selection = { rooms: fields.names(), except: fields.names() };
      const packet = PreparedPacket.read(this.#handlers.nsp, fields);
      this.#handlers.onBroadcastWithAck(packet, selection, ackFlags, responder);
    } catch (error) {
      responder.fail(error as Error);
      throw error;
    }
  }

  #responder(asker: number, request: number): Responder {
    const { id } = this.#member;
    const send = (flags: number, value?: { of: unknown }) => {
      const bytes = value && packValue(value.of);
      // The hub has cut this worker off since, and told the asker.
      if (this.#member.id !== id) return;
      const outbox = this.#member.beginFrame(FrameKind.response, flags, this.#id);
      if (!outbox) return;
      outbox.u32(asker);
      outbox.u32(request);
      outbox.u32(id);
      if (bytes) outbox.raw(bytes);
      this.#end(outbox);
    };
    return {
      respond: (value) => send(0, { of: value }),
      finish: (value) => send(ResponseFlag.final, { of: value }),
      end: () => send(ResponseFlag.final),
      fail: (error) => send(ResponseFlag.final | ResponseFlag.error, { of: error.message }),
    };
  }

  #request(
    operation: OperationCode,
    flags: number,
    rooms: Set<Room> | undefined,
    call: RequestCall,
    writeValue: (outbox: Outbox) => void,
  ): void {
    this.whenOpen(() => {
      if (this.#member.isFull()) return call.onSettled(this.#member.backlogFull());
      const outbox = this.#begin(FrameKind.request, flags, rooms);
      if (!outbox) return call.onSettled(this.#member.aloneBecause);
      const id = this.#member.requests.open(this, call);
      outbox.u32(this.#member.id);
      outbox.u32(id);
      outbox.u8(operation);
      writeValue(outbox);
      try {
        this.#end(outbox);
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
    return this.#id === 0 && !this.#closed && this.#member.state !== "alone";
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

  #begin(kind: number, flags: number, rooms: Set<Room> | undefined): Outbox | undefined {
    const outbox = this.#id === 0 ? undefined : this.#member.beginFrame(kind, flags, this.#id);
    if (!outbox || !rooms) return outbox;
    if (rooms.size <= MAX_ROOMS) for (const room of rooms) outbox.key(roomKey(this.#id, String(room)));
    return outbox;
  }

  #end(outbox: Outbox): void {
    if (outbox.builtBytes <= this.#member.maxMessageBytes) return outbox.end();
    outbox.abort();
    throw this.#tooLarge();
  }

  #tooLarge(): HoldfastError {
    return new HoldfastError(
      "HOLDFAST_ERR_MESSAGE_TOO_LARGE",
      `The message is larger than ${this.#member.maxMessageBytes} bytes. Send less, or raise maxMessageBytes of ` +
        "setupPrimary() of @holdfast/adapter.",
    );
  }
}

export function flagBits({ volatile, compress }: BroadcastFlags): number {
  let bits = volatile ? BroadcastFlag.volatile : 0;
  if (compress !== undefined) bits |= BroadcastFlag.compressSet;
  if (compress) bits |= BroadcastFlag.compress;
  return bits;
}

function readFlags(bits: number): BroadcastFlags {
  const flags: BroadcastFlags = {};
  if ((bits & BroadcastFlag.volatile) !== 0) flags.volatile = true;
  if ((bits & BroadcastFlag.compressSet) !== 0) flags.compress = (bits & BroadcastFlag.compress) !== 0;
  return flags;
}
