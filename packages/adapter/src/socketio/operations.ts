/**
 * What the servers of one namespace do together besides broadcasting: each operation's two ends, the side that
 * asks and the side that answers.
 * Owns: the deadlines of acknowledgements. Runs in: workers; in the primary for its
 * emitters.
 */
import type { Namespace, Socket } from "socket.io";
import type { BroadcastFlags, BroadcastOptions, Room } from "socket.io-adapter";
import { HoldfastError, RequestError } from "../errors.js";
import type { NamespacePort } from "../member/namespace-port.js";
import type { Responder, Selection } from "../member/port-contract.js";
import type { FieldReader } from "../wire/field-reader.js";
import { Operation } from "../wire/frame.js";
import { fromTable, type SocketDetails, type SocketsTable, toTable } from "../wire/sockets-table.js";
import { packValue } from "../wire/values.js";
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

/** What a command carries: whom it is for, and what is done to them. */
interface CommandValue extends Selection {
  /** Rooms to join or to leave. */
  readonly change?: Room[];
  /** Whether to close the connection below. */
  readonly close?: boolean;
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

  join({ rooms, except }: Selection, change: Room[]): void {
    this.#port.command(Operation.socketsJoin, rooms, { rooms, except, change }, change);
  }

  leave({ rooms, except }: Selection, change: Room[]): void {
    this.#port.command(Operation.socketsLeave, rooms, { rooms, except, change });
  }

  disconnect({ rooms, except }: Selection, close: boolean): void {
    this.#port.command(Operation.disconnectSockets, rooms, { rooms, except, close });
  }

  onCommand(operation: number, value: unknown): void {
    if (operation === Operation.serverSideEmit) return onServerSideEmit(this.#nsp, value as unknown[]);
    const { rooms, except, change = [], close = false } = value as CommandValue;
    if (operation === Operation.socketsJoin) this.#local.addSockets({ rooms, except }, change);
    else if (operation === Operation.socketsLeave) this.#local.delSockets({ rooms, except }, change);
    else if (operation === Operation.disconnectSockets)
      this.#local.disconnectSockets({ rooms, except }, close);
  }

  onRequest(operation: number, value: unknown, responder: Responder): void {
    if (operation === Operation.fetchSockets) void this.#onFetchSockets(value as Selection, responder);
    else if (operation === Operation.serverSideEmit) this.#onServerSideEmit(value as unknown[], responder);
    else responder.fail(new HoldfastError("HOLDFAST_ERR_BROKEN_FRAME", `Unknown operation ${operation}.`));
  }

  // fetchSockets()

  /** Adds the other workers' sockets to `sockets`. */
  fetchSockets({ rooms, except }: Selection, timeoutMs: number | undefined, sockets: unknown[]) {
    return new Promise<unknown[]>((resolve, reject) => {
      const selection = { rooms, except };
      this.#port.request(Operation.fetchSockets, rooms, selection, {
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
    if (typeof ack !== "function") {
      this.#port.command(Operation.serverSideEmit, undefined, packet);
      return;
    }
    const responses: unknown[] = [];
    this.#port.request(Operation.serverSideEmit, undefined, packet.slice(0, -1), {
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
