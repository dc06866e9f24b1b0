/**
 * Reads the frames of one namespace that come from the hub, and gives them to its handlers.
 * Owns: the names of the rooms that were read last. Runs in: workers; in the primary for its emitters.
 */
import type { BroadcastFlags } from "socket.io-adapter";
import { brokenMessage, type FieldReader } from "../wire/field-reader.js";
import { BroadcastFlag, FrameKind, HEADER_BYTES, KEY_BYTES, Operation, ResponseFlag } from "../wire/frame.js";
import { OFFSET_BYTES } from "../wire/offset.js";
import { NamesMemo } from "./names-memo.js";
import type { PortHandlers, PortHost } from "./port-contract.js";
import { Responder } from "./responder.js";

/** What a response has before its value. */
const RESPONSE_BYTES = HEADER_BYTES + 3 * 4;

/** What a `record` has before the names: where the offset is, and who sends it. */
const RECORD_BYTES = 8;

export class PortFrames {
  readonly #host: PortHost;
  readonly #handlers: PortHandlers;
  readonly #namespaceId: () => number;
  readonly #lastRooms = new NamesMemo();
  readonly #lastExcept = new NamesMemo();
  /** The next frame is one of this worker's own. */
  #isReturned = false;

  constructor(host: PortHost, handlers: PortHandlers, namespaceId: () => number) {
    this.#host = host;
    this.#handlers = handlers;
    this.#namespaceId = namespaceId;
  }

  onFrame(kind: number, flags: number, fields: FieldReader): void {
    if (kind === FrameKind.returned) {
      this.#isReturned = true;
      return;
    }
    if (!this.#isReturned) return this.#read(kind, flags, fields);
    this.#isReturned = false;
    this.#handlers.moves?.onReturned(() => this.#read(kind, flags, fields));
  }

  /** The link is gone, perhaps between `returned` and what it was about. */
  onUnlinked(): void {
    this.#isReturned = false;
  }

  #read(kind: number, flags: number, fields: FieldReader): void {
    const { recovery } = this.#handlers;
    switch (kind) {
      case FrameKind.broadcast:
        return this.#onBroadcast(flags, fields);
      case FrameKind.command:
        return this.#onCommand(fields);
      case FrameKind.request:
        return this.#onRequest(flags, fields);
      case FrameKind.record:
        // Other workers' servers may have recovery where this one has not.
        if (!recovery) return this.#deliver(flags, fields.skip(RECORD_BYTES), true);
        return recovery.onRecord(readFlags(flags), fields);
      case FrameKind.placed:
        return recovery?.onPlaced(fields);
      case FrameKind.missed:
        return recovery?.onMissed(fields);
      case FrameKind.restored:
        return recovery?.onRestored(fields);
      case FrameKind.fence:
        return recovery?.onFence(fields);
      case FrameKind.recoverable:
        return this.#handlers.onRecoverable();
      default:
        if (this.#handlers.moves?.onFrame(kind, fields)) return;
        throw brokenMessage(`its kind is ${kind}, which a worker does not know`);
    }
  }

  #onBroadcast(flags: number, fields: FieldReader): void {
    const hasOffset = (flags & BroadcastFlag.offset) !== 0;
    if (hasOffset) this.#handlers.recovery?.complete(fields.tail(fields.u32(), OFFSET_BYTES));
    this.#deliver(flags, fields, hasOffset);
  }

  #deliver(flags: number, fields: FieldReader, hasOffset: boolean): void {
    const rooms = this.#lastRooms.read(fields);
    const except = this.#lastExcept.read(fields);
    this.#handlers.onBroadcast(rooms, except, readFlags(flags), fields, hasOffset);
  }

  #onCommand(fields: FieldReader): void {
    const claims = fields.u32();
    try {
      fields.skip(claims * KEY_BYTES);
      this.#handlers.onCommand(fields.u8(), fields);
    } finally {
      // Also if it cannot be read, or a listener of the application throws. Interest that came of the command goes
      // before this on the link: `beginFrame` sees to it.
      if (claims > 0) this.#host.beginFrame(FrameKind.settled, 0, this.#namespaceId())?.end();
    }
  }

  #onRequest(flags: number, fields: FieldReader): void {
    const asker = fields.u32();
    const id = fields.u32();
    const operation = fields.u8();
    const responder = this.#responder(asker, id);
    try {
      if (operation !== Operation.broadcastWithAck) {
        return this.#handlers.onRequest(operation, fields, responder);
      }
      const ackFlags = { ...readFlags(flags), timeout: fields.u32() };
      const selection = { rooms: fields.names(), except: fields.names() };
      this.#handlers.onBroadcastWithAck(selection, ackFlags, fields, responder);
    } catch (error) {
      responder.fail(error);
      throw error;
    }
  }

  #responder(asker: number, request: number): Responder {
    const host = this.#host;
    const { id } = host;
    const responder = new Responder(host.maxMessageBytes - RESPONSE_BYTES, (flags, value) => {
      // The hub has cut this worker off since, and told the asker.
      if (host.id !== id) return;
      const refusal = host.backlog?.refusal;
      // Answers that nobody takes do not pile up; that there will be none is said in few bytes.
      if (refusal && value && (flags & ResponseFlag.error) === 0) return responder.fail(refusal);
      const outbox = host.beginAnswer(asker, flags, this.#namespaceId());
      if (!outbox) return;
      outbox.u32(asker);
      outbox.u32(request);
      outbox.u32(id);
      if (value) outbox.raw(value);
      host.endFrame();
    });
    return responder;
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
