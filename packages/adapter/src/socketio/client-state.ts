/**
 * What of a client goes to another worker beside its TCP connection and what the hub knows: its form on the way.
 * Owns: the version of that form; pure. Runs in: workers.
 */
import type { Socket } from "socket.io";
import { packValue, unpackValue } from "../wire/values.js";
import type { AckState } from "./moves.js";
import type { ConnectionState } from "./private-fields-engine.js";
import type { UnsentPacket } from "./private-fields-polling.js";

/** Old and new code may differ. Whoever changes anything below changes this number. */
const STATE_VERSION = 2;

/** One namespace of the client. Rooms and data come through the hub. */
export interface SocketState {
  readonly namespace: string;
  readonly sid: string;
  readonly privateId: string;
  readonly handshake: Socket["handshake"];
  readonly acks: readonly AckState[];
}

export interface ClientState {
  readonly connection: ConnectionState;
  /** Bytes that bring the WebSocket's parser to where it stood; undefined for a client that polls. */
  readonly replay: Uint8Array | undefined;
  /** What waits for the next poll. */
  readonly unsent: readonly UnsentPacket[];
  /** Parts of a binary packet that has not come as a whole. */
  readonly half: readonly (string | Uint8Array)[];
  readonly sockets: readonly SocketState[];
}

/** @throws {HoldfastError} `HOLDFAST_ERR_UNSERIALIZABLE` */
export function encodeClient(state: ClientState): Buffer {
  return Buffer.concat([Buffer.of(STATE_VERSION), packValue(state)]);
}

/** @returns undefined if another version has written it */
export function decodeClient(bytes: Uint8Array): ClientState | undefined {
  if (bytes[0] !== STATE_VERSION) return undefined;
  return unpackValue(Buffer.from(bytes.subarray(1))) as ClientState;
}

/** Copies an object's fields. */
export type Copy = <T extends object>(of: T) => T;

/** One copy of each object: what is written twice of one client is encoded once. */
export function copyOnce(): Copy {
  const copies = new Map<object, object>();
  return <T extends object>(of: T): T => {
    let copy = copies.get(of);
    if (!copy) {
      copy = { ...of };
      copies.set(of, copy);
    }
    return copy as T;
  };
}

/** What middlewares may have added to a handshake does not travel. */
export function plainHandshake(handshake: Socket["handshake"], copy: Copy): Socket["handshake"] {
  const { headers, time, address, xdomain, secure, issued, url, query, auth } = handshake;
  return {
    headers: copy(headers),
    time,
    address,
    xdomain,
    secure,
    issued,
    url,
    query: copy(query),
    auth: copy(auth),
  };
}
