/**
 * Writes the frames of sessions that move, for one namespace, and reads them.
 * Owns: nothing. Runs in: workers.
 */
import type { Namespace } from "socket.io";
import type { Room, SocketId } from "socket.io-adapter";
import type { NamespacePort } from "../member/namespace-port.js";
import type { PortHost } from "../member/port-contract.js";
import type { FieldReader } from "../wire/field-reader.js";
import { FrameKind } from "../wire/frame.js";
import { OFFSET_BYTES } from "../wire/offset.js";
import { packValue, unpackValue } from "../wire/values.js";
import { PreparedPacket } from "./prepared-packet.js";

/** A packet that wants no acknowledgement. */
const NO_NUMBER = 0xffffffff;

/** A session that is this worker's from now on, and whose connection follows. */
export interface ArrivingSession {
  readonly handle: number;
  /** Of the last packet that had been placed. */
  readonly offset: string;
  readonly privateId: string;
  readonly sid: SocketId;
  readonly rooms: Set<Room>;
  readonly data: Buffer;
}

/** Where an acknowledgement is waited for: the worker whose socket was left behind, and how it numbers the packet. */
export interface AckPlace {
  readonly member: number;
  readonly id: number;
}

/** What a socket that was left behind writes to its client. */
export interface Forwarded {
  readonly sid: SocketId;
  readonly packet: PreparedPacket;
  readonly ack: AckPlace | undefined;
}

export interface MoveEvents {
  onCut(handle: number, moves: boolean): void;
  onArriving(session: ArrivingSession): void;
  onForwarded(forwarded: Forwarded): void;
  onAck(sid: SocketId, id: number, args: unknown[]): void;
  onLost(sid: SocketId): void;
  /** All that this worker had sent before it heard of that session has been handled. */
  onHeard(handle: number): void;
}

export class MovePort {
  readonly #nsp: Namespace;
  readonly #port: NamespacePort;
  readonly #member: PortHost;

  constructor(nsp: Namespace, port: NamespacePort, member: PortHost) {
    this.#nsp = nsp;
    this.#port = port;
    this.#member = member;
  }

  /** This worker, for the others. */
  get memberId(): number {
    return this.#member.id;
  }

  /** Gives a session to a worker. @returns false if there is no hub to do so */
  move(handle: number, workerId: number): boolean {
    return this.#port.send(FrameKind.sessionMove, 0, undefined, (outbox) => {
      outbox.u32(handle);
      outbox.u32(workerId);
    });
  }

  forward(sid: SocketId, packet: PreparedPacket, id: number | undefined): void {
    this.#port.send(FrameKind.sessionForward, 0, new Set([sid]), (outbox) => {
      outbox.text(sid);
      outbox.u32(this.#member.id);
      outbox.u32(id ?? NO_NUMBER);
      packet.write(outbox);
    });
  }

  ack({ member, id }: AckPlace, sid: SocketId, args: unknown[]): void {
    const value = packValue(args);
    this.#port.send(FrameKind.sessionAck, 0, undefined, (outbox) => {
      outbox.u32(member);
      outbox.text(sid);
      outbox.u32(id);
      outbox.raw(value);
    });
  }

  /** This worker has heard of a session that is its own. */
  heard(handle: number): void {
    this.#port.send(FrameKind.sessionHeard, 0, undefined, (outbox) => outbox.u32(handle));
  }

  /** The connection of a session that is another worker's was lost before it could follow. */
  lost(sid: SocketId): void {
    this.#port.send(FrameKind.sessionLost, 0, new Set([sid]), (outbox) => outbox.text(sid));
  }

  /** @returns whether the frame is about a move */
  read(kind: number, fields: FieldReader, events: MoveEvents): boolean {
    switch (kind) {
      case FrameKind.sessionCut:
        events.onCut(fields.u32(), fields.u8() === 1);
        return true;
      case FrameKind.sessionArriving:
        events.onArriving(readArriving(fields));
        return true;
      case FrameKind.sessionForward:
        events.onForwarded(this.#readForwarded(fields));
        return true;
      case FrameKind.sessionAck:
        fields.skip(4);
        events.onAck(fields.text(), fields.u32(), unpackValue(fields.rest()) as unknown[]);
        return true;
      case FrameKind.sessionLost:
        events.onLost(fields.text());
        return true;
      case FrameKind.sessionHeard:
        events.onHeard(fields.u32());
        return true;
      default:
        return false;
    }
  }

  #readForwarded(fields: FieldReader): Forwarded {
    const sid = fields.text();
    const place = { member: fields.u32(), id: fields.u32() };
    const packet = PreparedPacket.read(this.#nsp, fields);
    return { sid, packet, ack: place.id === NO_NUMBER ? undefined : place };
  }
}

function readArriving(fields: FieldReader): ArrivingSession {
  const handle = fields.u32();
  const offset = fields.bytes(OFFSET_BYTES).toString("latin1");
  const [privateId, sid, rooms] = [fields.text(), fields.text(), fields.names()];
  return { handle, offset, privateId, sid, rooms, data: Buffer.from(fields.rest()) };
}
