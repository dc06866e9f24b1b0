/**
 * How a worker and the hub find each other on a Unix socket: JSON, each message with its length in front. The worker
 * opens two connections, which name each other by a token. Frames follow in both directions. Runs in: hub process
 * and workers.
 *
 *     worker                            hub
 *       │── join ────────────────────────►│  on the connection for frames to the hub
 *       │── listen ──────────────────────►│  on the one for frames from the hub …
 *       │ ◄─ starting ────────────────────│  … which has the answer; this, while the hub cannot take members yet
 *       │ ◄─ welcome or refusal ──────────│  a refusal is on either
 *
 * Another version must be able to read as much as it takes to refuse it: the length, JSON, `protocol`, `version`.
 */
import {
  MESSAGE_KEY,
  type PrimaryMessage,
  type Refusal,
  readPrimaryMessage,
  type Starting,
  type Welcome,
} from "./handshake.js";

/** More is no handshake. */
const MAX_BYTES = 4_096;
const LENGTH_BYTES = 4;
const TOKEN = /^[0-9a-f]{32}$/;
const MAX_MARK_CHARS = 200;
/** Of the system's process ids, and of worker ids. */
const MAX_ID = 2 ** 32 - 1;

interface Spoken {
  readonly protocol: number;
  readonly version: string;
  /** Drawn by the worker; the same on both of its connections. */
  readonly token: string;
}

/** The worker wants to join. */
export interface Join extends Spoken {
  readonly [MESSAGE_KEY]: "join";
  /** `cluster.worker.id`, or 0. */
  readonly workerId: number;
  readonly pid: number;
  /** Tells the process from a later one with the same number. */
  readonly processMark: string;
}

/** This connection is for what the hub has to say. */
export interface Listen extends Spoken {
  readonly [MESSAGE_KEY]: "listen";
}

/** What the hub says. */
export type Answer = Welcome | Starting | Refusal;

export type SocketMessage = Join | Listen | Answer;

/** What a connection's first message turned out to be. */
export type Greeting =
  | Join
  | Listen
  /** It speaks another protocol, so the rest of it was not looked at. */
  | { readonly [MESSAGE_KEY]: "foreign"; readonly protocol: number; readonly version: string };

export function encodeSocketMessage(message: SocketMessage): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + text.length);
  bytes.writeUInt32LE(text.length, 0);
  text.copy(bytes, LENGTH_BYTES);
  return bytes;
}

/** What a worker says; undefined for what is not ours, or not as this version says it. Never throws. */
export function readGreeting(raw: unknown, ownProtocol: number): Greeting | undefined {
  if (typeof raw !== "object" || raw === null) return undefined;
  const { [MESSAGE_KEY]: kind, protocol, version, token, ...rest } = raw as Record<string, unknown>;
  if (!isId(protocol) || typeof version !== "string") return undefined;
  if (typeof kind === "string" && protocol !== ownProtocol)
    return { [MESSAGE_KEY]: "foreign", protocol, version };
  if (typeof token !== "string" || !TOKEN.test(token)) return undefined;
  const spoken = { protocol, version, token };
  if (kind === "listen") return { [MESSAGE_KEY]: kind, ...spoken };
  const { workerId, pid, processMark } = rest;
  const isRight = kind === "join" && isId(workerId) && isId(pid) && isMark(processMark);
  return isRight ? { [MESSAGE_KEY]: kind, ...spoken, workerId, pid, processMark } : undefined;
}

/** What the hub says; undefined for what is not ours, or not as this version says it. Never throws. */
export function readAnswer(raw: unknown): Answer | undefined {
  const message: PrimaryMessage | undefined = readPrimaryMessage(raw);
  switch (message?.[MESSAGE_KEY]) {
    case "starting":
    case "refusal":
      return message;
    case "welcome":
      return message.link.kind === "unix" ? message : undefined;
    default:
      return undefined;
  }
}

/** Reads one message of those that a connection begins with. */
export class MessageReader {
  #bytes: Buffer = Buffer.alloc(0);

  /**
   * @param chunk may be overwritten afterwards
   * @returns undefined until the message is complete; `value` is undefined if it is no JSON, or too long
   */
  push(chunk: Buffer): { readonly value: unknown; readonly rest: Buffer } | undefined {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (this.#bytes.length < LENGTH_BYTES) return undefined;
    const end = LENGTH_BYTES + this.#bytes.readUInt32LE(0);
    if (end > LENGTH_BYTES + MAX_BYTES) return { value: undefined, rest: Buffer.alloc(0) };
    if (this.#bytes.length < end) return undefined;
    return { value: parse(this.#bytes.toString("utf8", LENGTH_BYTES, end)), rest: this.#bytes.subarray(end) };
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_ID;
}

function isMark(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_MARK_CHARS;
}
