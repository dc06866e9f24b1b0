/**
 * Messages between the primary and the workers about sessions that move while their clients stay connected.
 * Owns: the format; pure. Runs in: primary and workers. The table of kinds is in `messages.ts`.
 */
import { fieldsOf, isCount, isOwner, KEY, Kind, type Peer, peerOf } from "./messages.js";

/** What a worker does with its sessions. */
export interface MoveTask {
  readonly task: number;
  /** The workers that get them, in turn. */
  readonly successors: readonly number[];
  /** The worker that gets those whose clients poll: all of them, or, with `NO_OWNER`, none is moved. */
  readonly heir: number;
  /** How many at most; {@link ALL_SESSIONS} for all. */
  readonly limit: number;
  /** How many at the same time. */
  readonly window: number;
  /** Milliseconds until what cannot be moved is closed; {@link NEVER} for a task that closes nothing. */
  readonly drainMs: number;
  /** Milliseconds over which it is closed. */
  readonly spreadMs: number;
}

export const ALL_SESSIONS = 2 ** 31;
export const NEVER = -1;

/**
 * Bytes in messages, encoded one after another: the primary passes them on as they are, and JSON takes no time over them.
 * Most of what goes with a connection has one part.
 */
export function* partsOf(bytes: Buffer): Generator<string, void> {
  for (let at = 0; at < bytes.length; at += PART_BYTES) yield bytes.toString("base64", at, at + PART_BYTES);
}

export function bytesOf(parts: Iterable<string>): Buffer {
  return Buffer.concat(Array.from(parts, (part) => Buffer.from(part, "base64")));
}

const PART_BYTES = 192 * 1024;

/** All of it, if it is not too long for a message that has to say more. */
export function wholePartOf(bytes: Buffer): string | undefined {
  return bytes.length <= PART_BYTES ? bytes.toString("base64") : undefined;
}

/** How far a task is; the numbers are part of protocol version 7. */
const STATES = ["underway", "empty", "over"] as const;
export type TaskState = (typeof STATES)[number];

/** How a task goes. */
export interface MoveCounts {
  /** Sessions that were there when it was last tried, and that were moved or lost before. */
  readonly total: number;
  /** Sessions that live at the other worker now. */
  readonly moved: number;
  /** Sessions whose connection was lost on the way; their clients can recover. */
  readonly lost: number;
  /** Sessions that were closed because they could not be moved. */
  readonly closed: number;
  /** Those that have not been moved, by what hinders them. */
  readonly left: Readonly<Record<string, number>>;
}

/** What came of a move. */
export interface MoveEnd {
  readonly move: number;
  /** Whether the session is up at the other worker. */
  readonly isUp: boolean;
}

/** What the bytes of a session come and go by: its client's connection, a stream of another worker that has that, or polls. */
const CARRIERS = ["polls", "connection", "stream"] as const;
export type Carrier = (typeof CARRIERS)[number];

export type MoveMessage =
  | ({ readonly kind: "moveSessions" } & MoveTask)
  | { readonly kind: "stopMoves"; readonly task: number }
  | { readonly kind: "moveState"; readonly move: number; readonly part: string }
  | {
      readonly kind: "moveConnection";
      readonly move: number;
      readonly name: string;
      readonly hasConnection: boolean;
      /** All that goes with it; undefined if that comes in parts of its own. */
      readonly part: string | undefined;
      readonly peer: Peer | undefined;
    }
  | { readonly kind: "nextPart"; readonly move: number }
  | { readonly kind: "moveCancelled"; readonly move: number }
  | { readonly kind: "moveSettled"; readonly ends: readonly MoveEnd[] }
  | {
      readonly kind: "moveOffered";
      readonly move: number;
      /** Tasks of a worker may overlap, also with the same successors. */
      readonly task: number;
      readonly successor: number;
      readonly name: string;
      readonly carrier: Carrier;
      /** All that goes with it; undefined if that comes in parts of its own. */
      readonly part: string | undefined;
      readonly peer: Peer | undefined;
    }
  | { readonly kind: "movePart"; readonly move: number; readonly isLast: boolean; readonly part: string }
  | { readonly kind: "moveLanded"; readonly ends: readonly MoveEnd[] }
  | ({ readonly kind: "moveReport"; readonly task: number; readonly state: TaskState } & MoveCounts)
  | { readonly kind: "letGo"; readonly task: number }
  | { readonly kind: "giving" | "given"; readonly giver: number; readonly heir: number }
  | {
      readonly kind: "holders";
      readonly worker: number;
      /** That worker lives, and its last server is not closed. */
      readonly lives: boolean;
      readonly holders: readonly number[];
    }
  | { readonly kind: "askHolders"; readonly worker: number }
  | { readonly kind: "heardOf"; readonly giver: number };

export function encodeMove(message: MoveMessage): object {
  return { [KEY]: [Kind[message.kind], ...fieldsFor(message)] };
}

function fieldsFor(message: MoveMessage): unknown[] {
  switch (message.kind) {
    case "moveSessions": {
      const { task, limit, window, drainMs, spreadMs, heir, successors } = message;
      return [task, limit, window, drainMs, spreadMs, heir, ...successors];
    }
    case "stopMoves":
    case "letGo":
      return [message.task];
    case "giving":
    case "given":
      return [message.giver, message.heir];
    case "holders":
      return [message.worker, message.lives ? 1 : 0, ...message.holders];
    case "askHolders":
      return [message.worker];
    case "heardOf":
      return [message.giver];
    case "moveState":
      return [message.move, message.part];
    case "movePart":
      return [message.move, message.isLast ? 1 : 0, message.part];
    case "moveConnection":
      return [
        message.move,
        message.name,
        message.hasConnection ? 1 : 0,
        message.part ?? "",
        ...peerFields(message.peer),
      ];
    case "moveOffered": {
      const { move, task, successor, name, carrier, part = "", peer } = message;
      return [move, task, successor, name, CARRIERS.indexOf(carrier), part, ...peerFields(peer)];
    }
    case "nextPart":
    case "moveCancelled":
      return [message.move];
    case "moveSettled":
    case "moveLanded":
      return message.ends.flatMap(({ move, isUp }) => [move, isUp ? 1 : 0]);
    case "moveReport": {
      const { task, state, total, moved, lost, closed, left } = message;
      return [task, STATES.indexOf(state), total, moved, lost, closed, ...Object.entries(left).flat()];
    }
  }
}

/** What the message says; `undefined` if it is not about moves. Never throws. */
export function decodeMove(message: unknown): MoveMessage | undefined {
  const fields = fieldsOf(message);
  if (!fields) return undefined;
  const [kind, id, a, b, c, d, e, f, g] = fields;
  if (!isCount(id)) return undefined;
  switch (kind) {
    case Kind.moveSessions: {
      const successors = fields.slice(7);
      if (!isCount(a) || !isCount(b) || !isMs(c) || !isMs(d) || !isOwner(e)) return undefined;
      if (successors.length === 0 || !successors.every(isCount)) return undefined;
      const times = { drainMs: c, spreadMs: d };
      return { kind: "moveSessions", task: id, limit: a, window: b, ...times, heir: e, successors };
    }
    case Kind.stopMoves:
      return { kind: "stopMoves", task: id };
    case Kind.letGo:
      return { kind: "letGo", task: id };
    case Kind.giving:
      return isCount(a) ? { kind: "giving", giver: id, heir: a } : undefined;
    case Kind.given:
      return isCount(a) ? { kind: "given", giver: id, heir: a } : undefined;
    case Kind.holders: {
      const holders = fields.slice(3);
      return holders.every(isCount) ? { kind: "holders", worker: id, lives: a === 1, holders } : undefined;
    }
    case Kind.askHolders:
      return { kind: "askHolders", worker: id };
    case Kind.heardOf:
      return { kind: "heardOf", giver: id };
    case Kind.moveState:
      return typeof a === "string" ? { kind: "moveState", move: id, part: a } : undefined;
    case Kind.movePart: {
      if (typeof b !== "string") return undefined;
      return { kind: "movePart", move: id, isLast: a === 1, part: b };
    }
    case Kind.moveConnection: {
      if (typeof a !== "string" || typeof c !== "string") return undefined;
      const rest = { hasConnection: b === 1, part: c || undefined, peer: peerOf(d, e) };
      return { kind: "moveConnection", move: id, name: a, ...rest };
    }
    case Kind.moveOffered: {
      const carrier = isCount(d) ? CARRIERS[d] : undefined;
      if (!isCount(a) || !isCount(b) || typeof c !== "string" || !carrier || typeof e !== "string")
        return undefined;
      const rest = { carrier, part: e || undefined, peer: peerOf(f, g) };
      return { kind: "moveOffered", move: id, task: a, successor: b, name: c, ...rest };
    }
    case Kind.nextPart:
      return { kind: "nextPart", move: id };
    case Kind.moveCancelled:
      return { kind: "moveCancelled", move: id };
    case Kind.moveSettled:
    case Kind.moveLanded: {
      const ends = endsOf(fields.slice(1));
      return ends && { kind: kind === Kind.moveSettled ? "moveSettled" : "moveLanded", ends };
    }
    case Kind.moveReport: {
      const state = isCount(a) ? STATES[a] : undefined;
      if (!state || !isCount(b) || !isCount(c) || !isCount(d) || !isCount(e)) return undefined;
      const counts = { total: b, moved: c, lost: d, closed: e, left: leftOf(fields.slice(7)) };
      return { kind: "moveReport", task: id, state, ...counts };
    }
    default:
      return undefined;
  }
}

function endsOf(pairs: readonly unknown[]): MoveEnd[] | undefined {
  const ends: MoveEnd[] = [];
  for (let i = 0; i < pairs.length; i += 2) {
    const move = pairs[i];
    if (!isCount(move)) return undefined;
    ends.push({ move, isUp: pairs[i + 1] === 1 });
  }
  return ends;
}

function leftOf(pairs: readonly unknown[]): Record<string, number> {
  const left: Record<string, number> = {};
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const [obstacle, sessions] = [pairs[i], pairs[i + 1]];
    if (typeof obstacle === "string" && isCount(sessions)) left[obstacle] = sessions;
  }
  return left;
}

function isMs(value: unknown): value is number {
  return value === NEVER || isCount(value);
}

function peerFields(peer: Peer | undefined): unknown[] {
  return peer ? [peer.address, peer.port] : [];
}
