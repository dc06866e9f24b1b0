/**
 * What goes with a session that moves, or with a connection. Owns: the format; pure. Runs in: workers.
 *
 *     | u32 length | state | u32 length | unread | unsent …
 *
 * With a stream, before that:
 *
 *     | u32 0xffffffff | u32 length | ticket
 */

export interface Parcel {
  /** Of the session, as its mover has packed it; empty with a connection that leads to another worker's session. */
  readonly state: Uint8Array;
  /** Bytes of the client that were read and not used. */
  readonly unread: Uint8Array;
  /** Bytes for the client that were not written. */
  readonly unsent: Uint8Array;
  /** The ticket of the stream that the client's bytes come or go by, if there is one. */
  readonly ticket?: Uint8Array | undefined;
}

const LENGTH_BYTES = 4;
/** No state is as long: who does not know of tickets refuses the parcel. */
const WITH_TICKET = Buffer.alloc(LENGTH_BYTES, 0xff);

export function encodeParcel({ state, unread, unsent, ticket }: Parcel): Buffer {
  const before = ticket ? [WITH_TICKET, lengthOf(ticket), ticket] : [];
  return Buffer.concat([...before, lengthOf(state), state, lengthOf(unread), unread, unsent]);
}

/** @returns undefined for what is no parcel */
export function decodeParcel(bytes: Buffer): Parcel | undefined {
  if (!bytes.subarray(0, LENGTH_BYTES).equals(WITH_TICKET)) return decodePlain(bytes);
  const ticket = ticketOf(bytes);
  const parcel = ticket && decodePlain(bytes.subarray(2 * LENGTH_BYTES + ticket.length));
  return parcel && { ...parcel, ticket };
}

/** The ticket of a parcel of which only the beginning may be here. */
export function ticketOf(bytes: Buffer): Uint8Array | undefined {
  if (!bytes.subarray(0, LENGTH_BYTES).equals(WITH_TICKET)) return undefined;
  return fieldAt(bytes, LENGTH_BYTES)?.bytes;
}

function decodePlain(bytes: Buffer): Parcel | undefined {
  const state = fieldAt(bytes, 0);
  const unread = state && fieldAt(bytes, state.end);
  if (!unread) return undefined;
  return { state: state.bytes, unread: unread.bytes, unsent: bytes.subarray(unread.end) };
}

function fieldAt(bytes: Buffer, at: number): { readonly bytes: Buffer; readonly end: number } | undefined {
  const start = at + LENGTH_BYTES;
  if (bytes.length < start) return undefined;
  const end = start + bytes.readUInt32LE(at);
  return bytes.length < end ? undefined : { bytes: bytes.subarray(start, end), end };
}

function lengthOf(field: Uint8Array): Buffer {
  const bytes = Buffer.alloc(LENGTH_BYTES);
  bytes.writeUInt32LE(field.length);
  return bytes;
}
