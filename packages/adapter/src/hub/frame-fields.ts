/** Fields of members' frames that the hub itself reads; no more than the frame has. Runs in: where the hub is. */
import { brokenMessage, FieldReader } from "../wire/field-reader.js";
import { FrameKind, frameFields, frameKind, isVoid, KEY_BYTES, Operation } from "../wire/frame.js";
import { OFFSET_BYTES } from "../wire/offset.js";
import type { NamespaceKeys } from "../wire/room-key.js";

/** What an interest frame has before its entries: its number, and since when its joins count. */
const INTEREST_BYTES = 12;

export function fieldsOf(buffer: Buffer, start: number, end: number): FieldReader {
  return new FieldReader(buffer, frameFields(buffer, start), end);
}

/** Where the entries of an interest frame begin. @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE` */
export function interestEntries(buffer: Buffer, start: number, end: number): number {
  const fields = frameFields(buffer, start);
  const bytes = end - fields - INTEREST_BYTES;
  if (bytes < 0 || bytes % KEY_BYTES !== 0) throw brokenMessage("an entry is cut");
  return fields + INTEREST_BYTES;
}

/**
 * The place of a record's offset is in the record: the journal writes there.
 * @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE` otherwise
 */
export function checkPlace(buffer: Buffer, start: number, end: number): void {
  const fields = fieldsOf(buffer, start, end);
  const fromEnd = fields.u32();
  if (fromEnd < OFFSET_BYTES || fromEnd > fields.left) throw brokenMessage("its offset has no place");
}

/** The number by which its asker knows a request. */
export function requestOf(buffer: Buffer, start: number, end: number): number {
  return fieldsOf(buffer, start, end).skip(4).u32();
}

/** Whether a frame is for servers, and not for their sockets. */
export function isForServers(buffer: Buffer, start: number, end: number): boolean {
  const kind = frameKind(buffer, start);
  if (kind !== FrameKind.command && kind !== FrameKind.request) return false;
  const fields = fieldsOf(buffer, start, end);
  const before = kind === FrameKind.request ? 8 : fields.u32() * KEY_BYTES;
  return fields.skip(before).u8() === Operation.serverSideEmit;
}

/** Keys of the rooms that sockets may join by a command. @param keys those of its namespace */
export function claimsOf(
  keys: NamespaceKeys | undefined,
  buffer: Buffer,
  start: number,
  end: number,
): number[] {
  const fields = fieldsOf(buffer, start, end);
  const count = fields.u32();
  if (count * KEY_BYTES > fields.left) throw brokenMessage("it has fewer keys than it says");
  const claims = Array.from({ length: count }, () => fields.u32());
  if (count === 0 || !keys || !isVoid(buffer, start)) return claims;
  // The rooms to join are what such a command ends with, behind its number and whom it is for.
  fields.u8();
  fields.names();
  fields.names();
  return Array.from(fields.names(), (room) => keys.of(room));
}
