/**
 * What other workers are told of this worker's sockets: lists of them, in as many messages as it takes.
 * Owns: what could not be told of each socket, so that `onError` hears of it once. Runs in: workers.
 *
 * No socket makes a list fail. A field of its data or of its handshake that cannot be sent is left out, and where
 * the fields are too large together, all of them. Rooms are told all or none. Where these three are too large
 * together, the largest is left out.
 */
import type { Socket } from "socket.io";
import type { Room } from "socket.io-adapter";
import { HoldfastError, messageOf } from "../errors.js";
import { canTravel } from "../wire/names.js";
import { type SocketDetails, SocketListWriter } from "../wire/socket-list.js";
import { packValue } from "../wire/values.js";
import { nameField, sendableOf, ToldOnce } from "./sendable.js";

/** A list of so many bytes is sent, and another one begun. */
const LIST_BYTES = 64 * 1024;

/** What middlewares put into the handshake; it may refer to anything. */
const UNWANTED = "sessionStore";
const OBJECTS_OF_HANDSHAKE = ["headers", "query", "auth"];

const PARTS = ["data", "handshake", "rooms"] as const;
type Part = (typeof PARTS)[number];
const EMPTY: Readonly<Record<Part, object>> = { data: {}, handshake: completed({}), rooms: [] };

export class SocketLists {
  readonly #onError: (error: HoldfastError) => void;
  readonly #told = new WeakMap<Socket, ToldOnce>();

  constructor(onError: (error: HoldfastError) => void) {
    this.#onError = onError;
  }

  /** Encodes lists that have all these sockets. @param maxBytes how long each may be */
  encode(sockets: readonly Socket[], maxBytes: number): Buffer[] {
    const lists = new Lists(maxBytes);
    for (const socket of sockets) {
      if (lists.add(() => describe(socket))) this.#addPart(lists, socket, maxBytes);
    }
    return lists.end();
  }

  /** Adds what can be sent of a socket that cannot be sent as it is. */
  #addPart(lists: Lists, socket: Socket, maxBytes: number): void {
    const details = {
      id: socket.id,
      handshake: completed(this.#part(socket, "handshake", () => handshakeOf(socket), maxBytes)),
      rooms: roomsOf(socket),
      data: this.#part(socket, "data", () => socket.data, maxBytes),
    };
    let failure = lists.add(() => details);
    if (!failure) return;
    for (const part of largestFirst(details, maxBytes)) {
      this.#tell(socket, part, failure);
      Object.assign(details, { [part]: EMPTY[part] });
      failure = lists.add(() => details);
      if (!failure) return;
    }
  }

  #part(socket: Socket, part: string, read: () => unknown, maxBytes: number): unknown {
    const { value, refused } = sendableOf(read, maxBytes);
    for (const [field, cause] of refused) this.#tell(socket, nameField(part, field), cause);
    return value;
  }

  #tell(socket: Socket, what: string, cause: HoldfastError): void {
    const told = this.#told.get(socket) ?? new ToldOnce();
    this.#told.set(socket, told);
    if (!told.isNew(what)) return;
    const message = `socket.${what} of socket ${socket.id} is left out of fetchSockets() of other workers: `;
    this.#onError(new HoldfastError(cause.code, message + cause.message, { cause }));
  }
}

/** Lists of sockets; the last one grows. */
class Lists {
  readonly #maxBytes: number;
  readonly #ended: Buffer[] = [];
  #last: SocketListWriter;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#last = new SocketListWriter(maxBytes);
  }

  /** @returns why nothing was added */
  add(describe: () => SocketDetails): HoldfastError | undefined {
    if (this.#last.size >= LIST_BYTES) this.#begin();
    const failure = this.#attempt(describe);
    if (failure?.code !== "HOLDFAST_ERR_MESSAGE_TOO_LARGE" || this.#last.size === 0) return failure;
    this.#begin();
    return this.#attempt(describe);
  }

  end(): Buffer[] {
    return [...this.#ended, this.#last.end()];
  }

  #begin(): void {
    this.#ended.push(this.#last.end());
    this.#last = new SocketListWriter(this.#maxBytes);
  }

  #attempt(describe: () => SocketDetails): HoldfastError | undefined {
    try {
      this.#last.add(describe());
      return undefined;
    } catch (error) {
      if (error instanceof HoldfastError) return error;
      // A getter of the application.
      return new HoldfastError("HOLDFAST_ERR_UNSERIALIZABLE", messageOf(error), { cause: error });
    }
  }
}

function describe(socket: Socket): SocketDetails {
  const { id, data } = socket;
  return { id, handshake: handshakeOf(socket), rooms: roomsOf(socket), data };
}

function handshakeOf({ handshake }: Socket): object {
  const { [UNWANTED]: _, ...wanted } = handshake as typeof handshake & { [UNWANTED]?: unknown };
  return wanted;
}

function roomsOf({ rooms }: Socket): Room[] {
  return [...rooms].filter(canTravel);
}

/** What cannot be sent of a handshake is empty, not missing: applications look into it without asking. */
function completed(handshake: unknown): object {
  const fields = { ...(handshake as Record<string, unknown>) };
  for (const name of OBJECTS_OF_HANDSHAKE) fields[name] ??= {};
  return fields;
}

/** What cannot be sent even without the others comes before what can. */
function largestFirst(details: SocketDetails, maxBytes: number): Part[] {
  const sized = PARTS.map((part) => ({ part, size: sizeOf({ [part]: details[part] }, maxBytes) }));
  // The difference of two infinities is none.
  return sized.sort((a, b) => b.size - a.size || 0).map(({ part }) => part);
}

function sizeOf(value: unknown, maxBytes: number): number {
  try {
    return packValue(value, maxBytes).length;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
