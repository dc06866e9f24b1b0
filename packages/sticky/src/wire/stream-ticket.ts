/**
 * What goes with a stream of a link of which one end moves to another process.
 * Owns: the format; pure. Runs in: workers.
 */
import type { StreamToken } from "./link-frame.js";
import { isCount } from "./messages.js";
import { decodeOrigin, encodeOrigin, type Origin } from "./origin.js";

/** The owner's end, with its session. */
export interface OwnerTicket {
  readonly end: "owner";
  readonly token: StreamToken;
  readonly origin: Origin;
}

/** The other one, with the client's connection. */
export interface RelayTicket {
  readonly end: "relay";
  readonly token: StreamToken;
  /** Which workers the owner is one of; see `Relay`. */
  readonly way: string;
  /** The owner's number there. */
  readonly owner: number;
  /** What the client has sent and has not left. */
  readonly unsent: Buffer;
}

export type StreamTicket = OwnerTicket | RelayTicket;

export function encodeTicket(ticket: StreamTicket): Buffer {
  if (ticket.end === "owner") {
    return Buffer.from(JSON.stringify({ ...ticket, origin: encodeOrigin(ticket.origin).toString() }));
  }
  return Buffer.from(JSON.stringify({ ...ticket, unsent: ticket.unsent.toString("base64") }));
}

/** Reads what {@link encodeTicket} has written; `undefined` if it is something else. Never throws. */
export function decodeTicket(bytes: Uint8Array): StreamTicket | undefined {
  let fields: Partial<Record<string, unknown>> | null;
  try {
    fields = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
  const { end, token, way, owner, unsent, origin: text } = fields ?? {};
  if (typeof token !== "string") return undefined;
  if (end === "owner" && typeof text === "string") {
    const origin = decodeOrigin(Buffer.from(text));
    return origin && { end, token, origin };
  }
  if (end !== "relay" || typeof way !== "string" || !isCount(owner) || typeof unsent !== "string")
    return undefined;
  return { end, token, way, owner, unsent: Buffer.from(unsent, "base64") };
}
