/**
 * What the servers of one namespace do together besides broadcasting: each operation's two ends, the side that
 * asks and the side that answers.
 * Owns: the deadlines of acknowledgements. Runs in: workers; in the primary for its emitters.
 */
import type { Namespace, Socket } from "socket.io";
import type { BroadcastFlags, Room } from "socket.io-adapter";
import { HoldfastError, type HoldfastErrorCode, messageOf, RequestError } from "../errors.js";
import { runApplication } from "../faults.js";
import type { NamespacePort } from "../member/namespace-port.js";
import type { FrameBody, OperationCode, Selection } from "../member/port-contract.js";
import type { Responder } from "../member/responder.js";
import type { ResolvedAdapterOptions } from "../options.js";
import { brokenMessage, type FieldReader } from "../wire/field-reader.js";
import { Operation } from "../wire/frame.js";
import { canTravel } from "../wire/names.js";
import { readSocketList, type SocketDetails } from "../wire/socket-list.js";
import { packValue, readValue } from "../wire/values.js";
import { type AckDeadline, AckDeadlines, timeoutOf, timerOf } from "./ack-deadlines.js";
import { PreparedPacket } from "./prepared-packet.js";
import { nextPacketId, onServerSideEmit, type Packet } from "./private-fields.js";
import { SocketLists } from "./socket-lists.js";

/** This process's own sockets, as operations of other workers reach them. */
export interface LocalSockets {
  addSockets(selection: Selection, rooms: Room[]): void;
  delSockets(selection: Selection, rooms: Room[]): void;
  disconnectSockets(selection: Selection, close: boolean): void;
  fetchSockets(selection: Selection): Promise<Socket[]>;
  /**
   * Writes a packet that wants acknowledgements.
   * @param packetId what clients acknowledge it with
   * @returns how many sockets it goes to
   */
  ask(
    packet: PreparedPacket,
    packetId: number,
    selection: Selection,
    flags: BroadcastFlags,
    ack: (value: unknown) => void,
  ): number;
}

/** With these, clients that could have been asked are missing; with others, the workers that have them are gone. */
const INCOMPLETE: ReadonlySet<HoldfastErrorCode> = new Set([
  "HOLDFAST_ERR_REQUEST_TIMEOUT",
  "HOLDFAST_ERR_REQUEST_FAILED",
  "HOLDFAST_ERR_BACKLOG_FULL",
  "HOLDFAST_ERR_MESSAGE_TOO_LARGE",
]);

type AckCallback = (error: Error | null, responses: unknown[]) => void;

export class Operations {
  readonly #nsp: Namespace;
  readonly #port: NamespacePort;
  readonly #requestsTimeout: number;
  readonly #local: LocalSockets;
  readonly #onError: (error: HoldfastError) => void;
  readonly #socketLists: SocketLists;
  readonly #ackDeadlines: AckDeadlines;

  constructor(
    nsp: Namespace,
    port: NamespacePort,
    { requestsTimeout, onError }: Pick<ResolvedAdapterOptions, "requestsTimeout" | "onError">,
    local: LocalSockets,
  ) {
    this.#nsp = nsp;
    this.#port = port;
    this.#requestsTimeout = requestsTimeout;
    this.#local = local;
    this.#onError = onError;
    this.#socketLists = new SocketLists(onError);
    this.#ackDeadlines = new AckDeadlines(nsp);
  }

  close(): void {
    this.#ackDeadlines.close();
  }

  // Commands: nobody answers.

  join(selection: Selection, rooms: Room[]): void {
    const change = new Set(rooms.filter(canTravel));
    this.#change(Operation.socketsJoin, selection, change, change);
  }

  leave(selection: Selection, rooms: Room[]): void {
    this.#change(Operation.socketsLeave, selection, new Set(rooms.filter(canTravel)));
  }

  #change(operation: OperationCode, selection: Selection, change: Set<Room>, claims?: Set<Room>): void {
    if (change.size === 0) return;
    const body = bodyOf(selection, namesBytes(change), (outbox) => outbox.names(change));
    this.#port.command(operation, selection.rooms, body, claims);
  }

  disconnect(selection: Selection, close: boolean): void {
    const body = bodyOf(selection, 1, (outbox) => outbox.u8(close ? 1 : 0));
    this.#port.command(Operation.disconnectSockets, selection.rooms, body);
  }

  onCommand(operation: number, fields: FieldReader): void {
    if (operation === Operation.serverSideEmit) return onServerSideEmit(this.#nsp, readArguments(fields));
    const selection = readSelection(fields);
    if (operation === Operation.socketsJoin) this.#local.addSockets(selection, [...fields.names()]);
    else if (operation === Operation.socketsLeave) this.#local.delSockets(selection, [...fields.names()]);
    else if (operation === Operation.disconnectSockets)
      this.#local.disconnectSockets(selection, fields.u8() === 1);
  }

  onRequest(operation: number, fields: FieldReader, responder: Responder): void {
    if (operation === Operation.fetchSockets) void this.#onFetchSockets(readSelection(fields), responder);
    else if (operation === Operation.serverSideEmit) this.#onServerSideEmit(readArguments(fields), responder);
    else throw brokenMessage(`there is no operation ${operation}`);
  }

  // fetchSockets()

  /** Adds the other workers' sockets to `sockets`. */
  fetchSockets(selection: Selection, timeoutMs: number | undefined, sockets: unknown[]) {
    return new Promise<unknown[]>((resolve, reject) => {
      this.#port.requests.query(Operation.fetchSockets, selection.rooms, bodyOf(selection), {
        timeoutMs: timeoutOf(timeoutMs ?? this.#requestsTimeout),
        read: readSocketList,
        onResponse: (value) => {
          for (const details of value as SocketDetails[]) sockets.push(details);
        },
        onSettled: (error) => {
          if (!error) return resolve(sockets);
          if (error instanceof RequestError) error.responses = sockets;
          reject(error);
        },
      });
    });
  }

  async #onFetchSockets(selection: Selection, responder: Responder): Promise<void> {
    try {
      const sockets = await this.#local.fetchSockets(selection);
      for (const list of this.#socketLists.encode(sockets, responder.maxBytes))
        responder.respondEncoded(list);
      responder.end();
    } catch (error) {
      responder.fail(error);
    }
  }

  // serverSideEmit()

  serverSideEmit(packet: unknown[]): void {
    const ack = packet.at(-1);
    const isQuestion = typeof ack === "function";
    const value = packValue(isQuestion ? packet.slice(0, -1) : packet, this.#port.maxValueBytes);
    const body: FrameBody = { bytes: value.length, write: (outbox) => outbox.raw(value) };
    if (!isQuestion) return this.#port.command(Operation.serverSideEmit, undefined, body);
    const responses: unknown[] = [];
    this.#port.requests.ask(Operation.serverSideEmit, undefined, body, {
      timeoutMs: this.#requestsTimeout,
      onResponse: (value) => responses.push(value),
      onSettled: (error) => (ack as AckCallback)(error ?? null, responses),
    });
  }

  #onServerSideEmit(args: unknown[], responder: Responder): void {
    onServerSideEmit(this.#nsp, [...args, (response: unknown) => responder.finish(response)]);
  }

  // Broadcasts with acknowledgement

  /** Has this process's clients forget a packet when nobody waits for their acknowledgements any more. */
  awaitAcks(packetId: number, ms: number | undefined): AckDeadline {
    return this.#ackDeadlines.add(packetId, ms);
  }

  /** Counts this process's `own` clients and asks the other workers' clients, unless the flags say `local`. */
  broadcastWithAck(
    packet: Packet,
    selection: Selection,
    flags: BroadcastFlags,
    own: number,
    clientCountCallback: (count: number) => void,
    ack: (value: unknown) => void,
  ): void {
    const servers = this.#port.requests.serverCount(this.#requestsTimeout);
    let clients = own;
    const reportAll = async () => {
      const count = await servers;
      // The application's callback runs in it, once all have answered.
      runApplication(() => reportCounts(count, clients, clientCountCallback));
    };
    if (flags.local) {
      void reportAll();
      return;
    }
    // Encoded before it gets an id: each worker numbers its acknowledgements by itself.
    const prepared = PreparedPacket.encode(this.#nsp, packet);
    this.#port.requests.broadcastWithAck(prepared, selection, flags, {
      timeoutMs: timerOf(flags.timeout ?? this.#requestsTimeout),
      onResponse: (value) => {
        clients++;
        ack(value);
      },
      onSettled: (error) => {
        // Socket.IO's own timer ends what is not complete by then, with its own error.
        if (!error || !INCOMPLETE.has(error.code)) void reportAll();
      },
    });
  }

  onBroadcastWithAck(
    { rooms, except }: Selection,
    flags: BroadcastFlags,
    fields: FieldReader,
    responder: Responder,
  ): void {
    const packetId = nextPacketId(this.#nsp);
    const packet = this.#withId(PreparedPacket.read(this.#nsp, fields), packetId);
    let missing = 0;
    let deadline: AckDeadline | undefined;
    const onAck = (value: unknown) => {
      try {
        if (missing > 1) responder.respond(value);
        else responder.finish(value);
      } catch (error) {
        // A client has chosen the value. It counts as one that does not acknowledge.
        return this.#onError(asUnacknowledged(error as HoldfastError));
      }
      missing--;
      if (missing === 0) deadline?.end();
    };
    missing = this.#local.ask(packet, packetId, { rooms, except }, flags, onAck);
    if (missing === 0) return responder.end();
    // The asker has stopped waiting by then.
    deadline = this.#ackDeadlines.add(packetId, flags.timeout, () =>
      responder.fail(`${missing} clients have not acknowledged`),
    );
  }

  /**
   * The packet as this worker sends it, who numbers its acknowledgements by itself.
   * @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE`
   */
  #withId(received: PreparedPacket, id: number): PreparedPacket {
    const { packet } = received;
    if (!packet) throw received.failure;
    try {
      return PreparedPacket.encode(this.#nsp, { ...packet, id });
    } catch (error) {
      throw brokenMessage(messageOf(error));
    }
  }
}

function asUnacknowledged(cause: HoldfastError): HoldfastError {
  const message = `An acknowledgement of a client counts as missing, as it cannot go to the worker that asked: ${cause.message}`;
  return new HoldfastError(cause.code, message, { cause });
}

/**
 * Tells Socket.IO's operator that every server has been counted. It compares with `serverCount()`, asked for
 * in the same turn as the broadcast, and expects one call for each server; all clients go into the first.
 */
function reportCounts(servers: number, clients: number, clientCountCallback: (count: number) => void): void {
  // The primary's emitter is not one of the servers, and there may be no worker.
  if (servers > 0) clientCountCallback(clients);
  for (let i = 1; i < servers; i++) clientCountCallback(0);
}

/** @param bytes what `write` writes behind the selection */
function bodyOf({ rooms, except }: Selection, bytes = 0, write: FrameBody["write"] = () => {}): FrameBody {
  return {
    bytes: namesBytes(rooms) + namesBytes(except) + bytes,
    write: (outbox) => {
      outbox.names(rooms);
      outbox.names(except);
      write(outbox);
    },
  };
}

/** What names of rooms take, nearly. */
function namesBytes(rooms: ReadonlySet<Room>): number {
  let bytes = 4;
  for (const room of rooms) bytes += typeof room === "string" ? 4 + room.length : 8;
  return bytes;
}

function readSelection(fields: FieldReader): Selection {
  const rooms = fields.names();
  return { rooms, except: fields.names() };
}

/** @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE` */
function readArguments(fields: FieldReader): unknown[] {
  const value = readValue(fields);
  if (Array.isArray(value)) return value;
  throw brokenMessage("arguments are missing");
}
