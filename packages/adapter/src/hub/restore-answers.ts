/** The hub's answers to members that have asked for a session, as they are written to their links. Runs in: where the hub is. */
import { FrameKind } from "../wire/frame.js";
import type { HubMember } from "./hub-member.js";
import type { JournalEntry } from "./journal-slab.js";
import type { Session } from "./session.js";

/** Who is answered, and what the member will call the session by. */
export interface Asker {
  readonly from: HubMember;
  readonly handle: number;
}

/** There is no such session. @param lastOffset of the last packet that has been placed */
export function writeNone({ from, handle }: Asker, namespaceId: number, lastOffset: string): void {
  from.outbox.begin(FrameKind.restored, 0, namespaceId);
  from.outbox.u32(handle);
  from.outbox.latin1(lastOffset);
  from.outbox.end();
}

/** A part of what the session has missed. */
export function writeMissed(
  { from, handle }: Asker,
  namespaceId: number,
  packets: readonly JournalEntry[],
): void {
  from.outbox.begin(FrameKind.missed, 0, namespaceId);
  from.outbox.u32(handle);
  from.outbox.u32(packets.length);
  from.outbox.end();
  writePackets(from, packets);
}

/**
 * The session, and the last packets that it has missed.
 * @returns false when it has grown, bit by bit, beyond what one message may hold: then nothing is written
 */
export function writeSession(
  { from, handle }: Asker,
  { namespaceId, sid, rooms, data = NO_DATA }: Session,
  packets: readonly JournalEntry[],
  lastOffset: string,
  maxMessageBytes: number,
): boolean {
  const { outbox } = from;
  outbox.begin(FrameKind.restored, 0, namespaceId);
  outbox.u32(handle);
  outbox.latin1(lastOffset);
  outbox.text(sid);
  outbox.names(rooms);
  outbox.u32(data.length);
  outbox.raw(data);
  outbox.u32(packets.length);
  if (outbox.builtBytes > maxMessageBytes) {
    outbox.abort();
    return false;
  }
  outbox.end();
  writePackets(from, packets);
  return true;
}

function writePackets({ outbox }: HubMember, packets: readonly JournalEntry[]): void {
  for (const { buffer, start, end } of packets) outbox.relay(buffer, start, end);
}

const NO_DATA = new Uint8Array(0);
