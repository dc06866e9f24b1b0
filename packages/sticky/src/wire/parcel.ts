/**
 * What goes with the connection of a session that moves. Owns: the format; pure. Runs in: workers.
 *
 *     | u32 length | state | u32 length | unread | unsent …
 */

export interface Parcel {
  /** Of the session, as its mover has packed it. */
  readonly state: Uint8Array;
  /** Bytes of the client that were read and not used. */
  readonly unread: Uint8Array;
  /** Bytes for the client that were not written. */
  readonly unsent: Uint8Array;
}

const LENGTH_BYTES = 4;

export function encodeParcel({ state, unread, unsent }: Parcel): Buffer {
  return Buffer.concat([lengthOf(state), state, lengthOf(unread), unread, unsent]);
}

/** @returns undefined for what is no parcel */
export function decodeParcel(bytes: Buffer): Parcel | undefined {
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
