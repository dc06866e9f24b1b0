/**
 * What the hub says of a session that moves from one worker to another, as it is written to their links.
 * Runs in: where the hub is.
 */
import type { FieldReader } from "../wire/field-reader.js";
import { FrameKind } from "../wire/frame.js";
import type { HubMember } from "./hub-member.js";
import type { Session } from "./session.js";

/** Handles that the hub gives begin here; those of members count from 1, and never get as far. */
export const FIRST_HANDLE = 0x80000000;

/**
 * To the receiver: the session is its own from now on.
 * @param lastOffset of the last packet that has been placed
 * @returns false when it has grown, bit by bit, beyond what one message may hold: then nothing is written
 */
export function writeArriving(
  { outbox }: HubMember,
  { namespaceId, privateId, sid, rooms, data = NO_DATA }: Session,
  handle: number,
  lastOffset: string,
  maxMessageBytes: number,
): boolean {
  outbox.begin(FrameKind.sessionArriving, 0, namespaceId);
  outbox.u32(handle);
  outbox.latin1(lastOffset);
  outbox.text(privateId);
  outbox.text(sid);
  outbox.names(rooms);
  outbox.raw(data);
  if (outbox.builtBytes > maxMessageBytes) {
    outbox.abort();
    return false;
  }
  outbox.end();
  return true;
}

/** To who had it: everything for the session that comes after this is the receiver's, if it moves. */
export function writeCut({ outbox }: HubMember, namespaceId: number, handle: number, moves: boolean): void {
  outbox.begin(FrameKind.sessionCut, 0, namespaceId);
  outbox.u32(handle);
  outbox.u8(moves ? 1 : 0);
  outbox.end();
}

/** The receiver has heard of it: what it has sent before has been handled. */
export function onSessionHeard(from: HubMember, namespaceId: number, fields: FieldReader): void {
  const handle = fields.u32();
  from.hears(namespaceId, handle);
  from.outbox.begin(FrameKind.sessionHeard, 0, namespaceId);
  from.outbox.u32(handle);
  from.outbox.end();
}

const NO_DATA = new Uint8Array(0);
