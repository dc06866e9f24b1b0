/**
 * What the servers of one namespace do together besides broadcasting: each operation's two ends, the side that
 * asks and the side that answers.
 * Owns: the deadlines of acknowledgements. Runs in: workers; in the primary for its
 * emitters.
 */
import type { Namespace, Socket } from "socket.io";
import type { BroadcastFlags, BroadcastOptions, Room } from "socket.io-adapter";
import { HoldfastError, RequestError } from "../errors.js";
import type { Outbox } from "../link/outbox.js";
import type { NamespacePort } from "../member/namespace-port.js";
import type { OperationCode, Responder, Selection } from "../member/port-contract.js";
import type { FieldReader } from "../wire/field-reader.js";
import { Operation } from "../wire/frame.js";
import { canTravel } from "../wire/names.js";
import { fromTable, type SocketDetails, type SocketsTable, toTable } from "../wire/sockets-table.js";
import { packValue, unpackValue } from "../wire/values.js";
import { type AckDeadline, AckDeadlines } from "./ack-deadlines.js";
import { PreparedPacket } from "./prepared-packet.js";
import { onServerSideEmit, type Packet } from "./private-fields.js";

/** This process's own sockets, as operations of other workers reach them. */
export interface LocalSockets {
  addSockets(selection: Selection, rooms: Room[]): void;
  delSockets(selection: Selection, rooms: Room[]): void;
  disconnectSockets(selection: Selection, close: boolean): void;
  fetchSockets(selection: Selection): Promise<Socket[]>;
  broadcastWithAck(
    packet: Packet,
    options: BroadcastOptions,
    clientCountCallback: (count: number) => void,
    ack: (value: unknown) => void,
  ): void;
}

type AckCallback = (error: Error | null, responses: unknown[]) => void;

export class Operations {
  readonly #nsp: Namespace;
  readonly #port: NamespacePort;
  readonly #requestsTimeout: number;
  readonly #local: LocalSockets;
  readonly #ackDeadlines: AckDeadlines;

  constructor(nsp: Namespace, port: NamespacePort, requestsTimeout: number, local: LocalSockets) {
    this.#nsp = nsp;
    this.#port = port;
    this.#requestsTimeout = requestsTimeout;
    this.#local = local;
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
    const write = (outbox: Outbox) => {
      writeSelection(outbox, selection);
      outbox.names(change);
    };
    this.#port.command(operation, selection.rooms, write, claims);
  }

  disconnect(selection: Selection, close: boolean): void {
    this.#port.command(Operation.disconnectSockets, selection.rooms, (outbox) => {
      writeSelection(outbox, selection);
      outbox.u8(close ? 1 : 0);
    });
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
    else responder.fail(new HoldfastError("HOLDFAST_ERR_BROKEN_FRAME", `Unknown operation ${operation}.`));
  }

  // fetchSockets()

  /** Adds the other workers' sockets to `sockets`. */
  fetchSockets(selection: Selection, timeoutMs: number | undefined, sockets: unknown[]) {
    return new Promise<unknown[]>((resolve, reject) => {
      const write = (outbox: Outbox) => writeSelection(outbox, selection);
      this.#port.request(Operation.fetchSockets, selection.rooms, write, {
        timeoutMs: timeoutMs ?? this.#requestsTimeout,
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

  async #onFetchSockets(selection: Selection, responder: Responder): Promise<void> {
    const sockets = (await this.#local.fetchSockets(selection)).map(describe);
    try {
      responder.finish(toTable(sockets));
    } catch (error) {
      responder.fail(nameUnserializable(sockets) ?? (error as Error));
    }
  }

  // serverSideEmit()

  serverSideEmit(packet: unknown[]): void {
    const ack = packet.at(-1);
    const isQuestion = typeof ack === "function";
    const value = packValue(isQuestion ? packet.slice(0, -1) : packet);
    const write = (outbox: Outbox) => outbox.raw(value);
    if (!isQuestion) return this.#port.command(Operation.serverSideEmit, undefined, write);
    const responses: unknown[] = [];
    this.#port.request(Operation.serverSideEmit, undefined, write, {
      timeoutMs: this.#requestsTimeout,
      onResponse: (value) => responses.push(value),
      onSettled: (error) => (ack as AckCallback)(error ?? null, responses),
    });
  }

  #onServerSideEmit(args: unknown[], responder: Responder): void {
    let answered = false;
    onServerSideEmit(this.#nsp, [
      ...args,
      (response: unknown) => {
        if (answered) return;
        answered = true;
        responder.finish(response);
      },
    ]);
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
    const servers = this.#port.serverCount(this.#requestsTimeout);
    let clients = own;
    const reportAll = async () => reportCounts(await servers, clients, clientCountCallback);
    if (flags.local) {
      void reportAll();
      return;
    }
    // Encoded before it gets an id: each worker numbers its acknowledgements by itself.
    const prepared = PreparedPacket.encode(this.#nsp, packet);
    this.#port.broadcastWithAck(prepared, selection, flags, {
      timeoutMs: flags.timeout ?? this.#requestsTimeout,
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

  onBroadcastWithAck(
    { rooms, except }: Selection,
    flags: BroadcastFlags,
    fields: FieldReader,
    responder: Responder,
  ): void {
    const { packet } = PreparedPacket.read(this.#nsp, fields);
    if (!packet) return responder.end();
    let missing = 0;
    let deadline: AckDeadline | undefined;
    this.#local.broadcastWithAck(
      packet,
      { rooms, except, flags },
      (count) => {
        missing = count;
      },
      (value) => {
        if (--missing > 0) return responder.respond(value);
        deadline?.end();
        responder.finish(value);
      },
    );
    if (missing === 0 || packet.id === undefined) return responder.end();
    // The asker has stopped waiting by then.
    deadline = this.#ackDeadlines.add(packet.id, flags.timeout, () => responder.end());
  }
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

function writeSelection(outbox: Outbox, { rooms, except }: Selection): void {
  outbox.names(rooms);
  outbox.names(except);
}

function readSelection(fields: FieldReader): Selection {
  const rooms = fields.names();
  return { rooms, except: fields.names() };
}

function readArguments(fields: FieldReader): unknown[] {
  return unpackValue(fields.rest()) as unknown[];
}

/** What other workers may know of a socket; a session store is left out, it may hold on to anything. */
function describe({ id, handshake, rooms, data }: Socket): SocketDetails {
  const { sessionStore: _, ...rest } = handshake as typeof handshake & { sessionStore?: unknown };
  return { id, handshake: rest, rooms: [...rooms].filter(canTravel), data };
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
