/**
 * What a namespace's port needs from its member, and what it gives to those who opened it. Types only.
 * Runs in: workers; in the primary for its emitters.
 */
import type { BroadcastFlags, Room } from "socket.io-adapter";
import type { HoldfastError, RequestError } from "../errors.js";
import type { Outbox } from "../link/outbox.js";
import type { FieldReader } from "../wire/field-reader.js";
import type { Operation } from "../wire/frame.js";
import type { Backlog } from "./backlog.js";
import type { InterestReport } from "./interest-report.js";
import type { Requests } from "./requests.js";
import type { Responder } from "./responder.js";

/**
 * idle: no namespace is open. joining: the connector is at work. joined: frames flow. alone: there is no hub,
 * or it is gone; broadcasts stay local until the connector finds one.
 *
 * idle → joining → joined → idle; joining and joined → alone → joining
 */
export type MemberState = "idle" | "joining" | "joined" | "alone";

/** The member that a port belongs to, as the port sees it. */
export interface PortHost {
  /** The member's id in the hub. */
  readonly id: number;
  readonly state: MemberState;
  readonly requests: Requests;
  readonly maxMessageBytes: number;
  /** What the hub's room keys are made with. */
  readonly roomSeed: string;
  /** Whether the member has come back to the hub that it had. */
  readonly isBack: boolean;
  /** How many times the hub has told another one. */
  readonly seeds: number;
  /** Why there is no hub; what requests fail with while alone. */
  readonly aloneBecause: HoldfastError;
  /** A number for a session that no other session of this process has had. */
  nextHandle(): number;
  /** The outbox with everything on it that has to go before the next frame; undefined without a hub. */
  beginFrame(kind: number, flags: number, namespaceId: number): Outbox | undefined;
  /** The same for a `response` to what another member has asked. */
  beginAnswer(asker: number, flags: number, namespaceId: number): Outbox | undefined;
  /**
   * Completes the frame that was begun.
   * @throws {HoldfastError} `HOLDFAST_ERR_MESSAGE_TOO_LARGE`; the frame is dropped
   */
  endFrame(): void;
  /** What waits for the hub; undefined without one. */
  readonly backlog: Backlog | undefined;
  /** The port has interest to report. */
  markDirty(port: InterestReporter): void;
  /** Settles when the hub acts on all interest up to now; undefined when it does already. */
  synced(): Promise<void> | undefined;
  /** The namespace is closed. @returns a promise if that ends a hub that other hosts know */
  close(port: InterestReporter & { readonly name: string; readonly id: number }): Promise<void> | void;
}

export interface InterestReporter {
  /** The namespace is about to be closed: its rooms are to be taken back. */
  withdraw(): void;
  /**
   * Writes what there is to report, in as many frames as the limit asks for.
   * @param nextOutbox gives the outbox for one frame
   */
  writeInterest(nextOutbox: () => Outbox, nextSequence: () => number): void;
}

/** Whom a packet or an operation is for. */
export interface Selection {
  readonly rooms: Set<Room>;
  readonly except: Set<Room>;
}

export type OperationCode = (typeof Operation)[keyof typeof Operation];

/** A part of a frame that can be written, once or later. */
export interface FrameBody {
  /** How much that is, nearly. */
  readonly bytes: number;
  write(outbox: Outbox): void;
}

/** A packet in the form in which it travels. */
export interface WritablePacket extends FrameBody {
  /** How far before the end of what `write` writes the place of an offset is; 0 if there is none. */
  readonly offsetFromEnd: number;
}

/** What one namespace does with what comes for it. The handler reads what is next in `fields`. */
export interface PortHandlers {
  /** Another worker broadcasts. @param hasOffset whether the packet's last argument is an offset */
  onBroadcast(
    rooms: ReadonlySet<Room>,
    except: ReadonlySet<Room>,
    flags: BroadcastFlags,
    fields: FieldReader,
    hasOffset: boolean,
  ): void;
  onCommand(operation: number, fields: FieldReader): void;
  onRequest(operation: number, fields: FieldReader, responder: Responder): void;
  /** A broadcast whose clients' acknowledgements the asker waits for. */
  onBroadcastWithAck(
    selection: Selection,
    flags: BroadcastFlags,
    fields: FieldReader,
    responder: Responder,
  ): void;
  /** Somebody else opens the namespace: if it is about to be closed, it is closed now. */
  onTaken(): void;
  /** Fills the report with the rooms that exist now. */
  reportRooms(report: InterestReport): void;
  /** To an emitter: servers of the namespace keep their packets for recovery from now on. */
  onRecoverable(): void;
  onError(error: HoldfastError): void;
  /** Undefined where the server has no `connectionStateRecovery`. */
  readonly recovery: RecoveryHandlers | undefined;
  /** Undefined where sessions do not move. */
  readonly moves?: MoveHandlers | undefined;
}

/** What is done with the frames of sessions that move. */
export interface MoveHandlers {
  /** @returns whether the frame is one of these */
  onFrame(kind: number, fields: FieldReader): boolean;
  /** Reads a frame that this worker has sent itself: it is for sessions alone that have come to it since. */
  onReturned(read: () => void): void;
  /** The link is gone. */
  onUnlinked(): void;
}

/** What connection state recovery does with the hub's word. */
export interface RecoveryHandlers {
  /** How long a session lives without a socket, and packets are kept. Milliseconds. */
  readonly durationMs: number;
  readonly retainMs: number;
  /**
   * The hub knows the namespace.
   * @param offset of the last packet
   * @param isBack whether it is the hub that the worker had before
   */
  onOpened(offset: string, isBack: boolean): void;
  /** Packets are placed in another order from now on. @param offset of the last packet */
  onOrder(offset: string): void;
  onRecord(flags: BroadcastFlags, fields: FieldReader): void;
  onPlaced(fields: FieldReader): void;
  onMissed(fields: FieldReader): void;
  onRestored(fields: FieldReader): void;
  onFence(fields: FieldReader): void;
  /** Writes the newest offset over the placeholder of a packet that is not kept. */
  complete(place: Buffer): void;
  /** The link is gone. */
  onUnlinked(): void;
  /** There is no hub at the moment. */
  onAlone(): void;
  /** There is no hub, and none is looked for. */
  onNoHub(): void;
}

export interface RequestCall {
  readonly timeoutMs: number;
  /**
   * Reads an answer.
   * @default reads a value
   */
  readonly read?: (fields: FieldReader) => unknown;
  onResponse(value: unknown): void;
  onSettled(error: RequestError | HoldfastError | undefined): void;
}
