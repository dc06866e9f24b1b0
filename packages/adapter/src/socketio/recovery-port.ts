/**
 * Writes the frames of connection state recovery for one namespace, and reads the hub's answer to `restore`.
 * Owns: nothing. Runs in: workers.
 */
import type { BroadcastFlags, Room } from "socket.io-adapter";
import type { NamespacePort } from "../member/namespace-port.js";
import type { PortHost } from "../member/port-contract.js";
import { flagBits } from "../member/port-frames.js";
import type { FieldReader } from "../wire/field-reader.js";
import { BroadcastFlag, FrameKind, SessionFlag } from "../wire/frame.js";
import { OFFSET_BYTES } from "../wire/offset.js";
import type { PreparedPacket } from "./prepared-packet.js";

/** What the hub gives for a private id and an offset. */
export interface Restored {
  readonly sid: string;
  readonly rooms: Set<Room>;
  readonly data: Buffer;
}

/** So many of the packets that a session has missed follow. */
export interface MissedHead {
  readonly handle: number;
  readonly count: number;
}

/** The hub's answer to `restore`. */
export interface RestoredHead extends MissedHead {
  /** Of the last packet that has been placed. */
  readonly offset: string;
  /** Undefined if there is no such session. */
  readonly restored: Restored | undefined;
}

export class RecoveryPort {
  readonly #port: NamespacePort;
  readonly #member: PortHost;

  constructor(port: NamespacePort, member: PortHost) {
    this.#port = port;
    this.#member = member;
  }

  /**
   * Whether a packet can be placed: there is a hub, or one may still answer, and there is room for what waits
   * for it. If it is for lack of room, the application is told.
   */
  canPlace(): boolean {
    const { backlog } = this.#port;
    if (!backlog?.isFull(false)) return !this.#port.isAlone;
    backlog.tell();
    return false;
  }

  /** Whether so much waits for the hub that what can come later should. */
  get isBusy(): boolean {
    return this.#port.backlog?.isFull(true) === true;
  }

  /** How many bytes a value may have; undefined while there is no hub to say so. */
  get maxValueBytes(): number | undefined {
    return this.#port.maxValueBytes;
  }

  /** Whether this process is the member that a frame names as its sender. */
  isOwn(sender: number): boolean {
    return sender === this.#member.id;
  }

  /** Whether the hub knows the namespace, so that it hears what is said about sessions. */
  get isOpen(): boolean {
    return this.#port.id !== 0;
  }

  /** Whether the hub knows the namespace, or may come to know it: a hub is there or is looked for. */
  get mayOpen(): boolean {
    const { state } = this.#member;
    return !this.#port.isAlone && (state === "joined" || state === "joining");
  }

  /** Runs `send` when the hub knows the namespace, or at once if there is no hub. */
  whenOpen(send: () => void): void {
    this.#port.whenOpen(send);
  }

  /** A handle that no session of this process has. */
  nextHandle(): number {
    return this.#member.nextHandle();
  }

  /**
   * Sends a packet to be placed, as soon as the hub knows the namespace.
   * @param onRefused it was too large, which is thrown, or reported if this call has returned by then
   */
  record(
    packet: PreparedPacket,
    rooms: Set<Room>,
    except: Set<Room>,
    flags: BroadcastFlags,
    echo: boolean,
    onRefused: () => void,
  ): void {
    this.#port.whenOpen(() => {
      try {
        this.#port.send(
          FrameKind.record,
          flagBits(flags) | (echo ? BroadcastFlag.echo : 0),
          rooms,
          (outbox) => {
            outbox.u32(packet.offsetFromEnd);
            outbox.u32(this.#member.id);
            outbox.names(rooms);
            outbox.names(except);
            packet.write(outbox);
          },
        );
      } catch (error) {
        onRefused();
        throw error;
      }
    }, packet);
  }

  sessionOpen(handle: number, privateId: string, sid: string, rooms: ReadonlySet<Room>): void {
    this.#port.send(FrameKind.sessionOpen, 0, undefined, (outbox) => {
      outbox.u32(handle);
      outbox.text(privateId);
      outbox.text(sid);
      outbox.names(rooms);
    });
  }

  sessionRooms(handle: number, joined: boolean, rooms: ReadonlySet<Room>): void {
    this.#port.send(FrameKind.sessionRooms, 0, undefined, (outbox) => {
      outbox.u32(handle);
      outbox.u8(joined ? 1 : 0);
      outbox.names(rooms);
    });
  }

  sessionData(handle: number, data: Uint8Array): void {
    this.#port.send(FrameKind.sessionData, 0, undefined, (outbox) => {
      outbox.u32(handle);
      outbox.raw(data);
    });
  }

  sessionEnd(handle: number, recoverable: boolean): void {
    const flags = recoverable ? SessionFlag.recoverable : 0;
    this.#port.send(FrameKind.sessionEnd, flags, undefined, (outbox) => outbox.u32(handle));
  }

  sessionRestored(handle: number, rooms: ReadonlySet<Room>): void {
    this.#port.send(FrameKind.sessionRestored, 0, undefined, (outbox) => {
      outbox.u32(handle);
      outbox.names(rooms);
    });
  }

  /**
   * Asks for a session, if the hub knows the namespace.
   * @param askedAt when its client asked, on the clock of `machineTime()`
   */
  restore(handle: number, askedAt: number, privateId: string, offset: string): void {
    this.#port.send(FrameKind.restore, 0, undefined, (outbox) => {
      outbox.u32(handle);
      outbox.u64(Math.floor(askedAt));
      outbox.text(privateId);
      outbox.text(offset);
    });
  }

  static readMissed(fields: FieldReader): MissedHead {
    return { handle: fields.u32(), count: fields.u32() };
  }

  static readRestored(fields: FieldReader): RestoredHead {
    const handle = fields.u32();
    const offset = fields.bytes(OFFSET_BYTES).toString("latin1");
    if (fields.done) return { handle, offset, restored: undefined, count: 0 };
    const sid = fields.text();
    const rooms = fields.names();
    const data = Buffer.from(fields.bytes(fields.u32()));
    return { handle, offset, restored: { sid, rooms, data }, count: fields.u32() };
  }
}
