/**
 * How a worker and the hub find each other: plain messages on the cluster's IPC channel, told from other
 * libraries' by one key. Runs in: primary and workers.
 *
 *     worker                    primary
 *       │ ◄─ invite ──────────────│  when the hub opens, to workers that were forked before
 *       │── hello ───────────────►│
 *       │ ◄─ starting ────────────│  now and then, while the hub cannot take members yet
 *       │ ◄─ welcome or refusal ──│  names the link; frames follow on it
 */

import { PROTOCOL_VERSION } from "./frame.js";

export const MESSAGE_KEY = "holdfast:adapter";

/** The worker wants to join. Its `probe`, a Uint8Array, arrives as one only where the channel carries binary. */
export interface Hello {
  readonly [MESSAGE_KEY]: "hello";
  readonly protocol: number;
  readonly version: string;
  readonly probe: unknown;
  /** Goes up with each hello that does not repeat the last one: the welcome to one that was withdrawn may be on its way. */
  readonly attempt: number;
}

/** The worker has said hello, has not taken a welcome, and does not want to join any more. */
export interface Withdraw {
  readonly [MESSAGE_KEY]: "withdraw";
}

/** The worker's ends of its pipes. */
export interface PipeFds {
  readonly toHub: number;
  readonly fromHub: number;
}

export interface Welcome {
  readonly [MESSAGE_KEY]: "welcome";
  /** Of the hello that it answers. 0 on a Unix socket, where it comes on the worker's own connection. */
  readonly attempt: number;
  readonly member: number;
  readonly link:
    | { readonly kind: "pipe"; readonly fds: PipeFds }
    | { readonly kind: "ipc"; readonly binary: boolean }
    /** The connection on which it comes, and the other one of the same token. */
    | { readonly kind: "unix" };
  readonly maxMessageBytes: number;
  readonly maxBacklogBytes: number;
  /** The hub's secret: what room keys are made with, and clients must not know. */
  readonly roomSeed: string;
  /** Names what joins the hub with those of other hosts; "" if nothing does. */
  readonly backplane: string;
  /** Names the hub: no other one, of any time, has that name. */
  readonly hub: string;
}

/** There is a hub, and it cannot take members yet. */
export interface Starting {
  readonly [MESSAGE_KEY]: "starting";
}

export interface Refusal {
  readonly [MESSAGE_KEY]: "refusal";
  readonly protocol: number;
  readonly version: string;
}

export interface Invite {
  readonly [MESSAGE_KEY]: "invite";
}

/** The worker could not open the pipe that the welcome named. */
export interface NoPipe {
  readonly [MESSAGE_KEY]: "no-pipe";
  readonly member: number;
}

/** A batch of frames on the `ipc` link: base64 where the channel carries no binary. */
export interface IpcFrames {
  readonly [MESSAGE_KEY]: "frames";
  readonly data: Uint8Array | string;
}

/** The `ipc` link is closed, as the end of a pipe says it: nothing comes after this. */
export interface IpcEnd {
  readonly [MESSAGE_KEY]: "end";
}

export type WorkerMessage = Hello | Withdraw | NoPipe | IpcFrames | IpcEnd;
export type PrimaryMessage = Welcome | Starting | Refusal | Invite | IpcFrames | IpcEnd;

/** What a worker says; undefined for what is not ours, or not as this version says it. Never throws. */
export function readWorkerMessage(raw: unknown): WorkerMessage | undefined {
  const fields = ours(raw);
  switch (fields?.[MESSAGE_KEY]) {
    case "hello":
      return readHello(fields);
    case "withdraw":
      return { [MESSAGE_KEY]: "withdraw" };
    case "no-pipe":
      return isCount(fields.member) ? { [MESSAGE_KEY]: "no-pipe", member: fields.member } : undefined;
    case "frames":
      return readFrames(fields);
    case "end":
      return { [MESSAGE_KEY]: "end" };
    default:
      return undefined;
  }
}

/** What the primary says; undefined for what is not ours, or not as this version says it. Never throws. */
export function readPrimaryMessage(raw: unknown): PrimaryMessage | undefined {
  const fields = ours(raw);
  switch (fields?.[MESSAGE_KEY]) {
    case "welcome":
      return readWelcome(fields);
    case "starting":
      return { [MESSAGE_KEY]: "starting" };
    case "refusal":
      return isCount(fields.protocol) && typeof fields.version === "string"
        ? { [MESSAGE_KEY]: "refusal", protocol: fields.protocol, version: fields.version }
        : undefined;
    case "invite":
      return { [MESSAGE_KEY]: "invite" };
    case "frames":
      return readFrames(fields);
    case "end":
      return { [MESSAGE_KEY]: "end" };
    default:
      return undefined;
  }
}

/** Of another version, nothing but `protocol` and `version` may be as it is here. */
function readHello({ protocol, version, probe, attempt }: Fields): Hello | undefined {
  if (!isCount(protocol) || typeof version !== "string") return undefined;
  const hello = { [MESSAGE_KEY]: "hello", protocol, version, probe } as const;
  if (isCount(attempt)) return { ...hello, attempt };
  return protocol === PROTOCOL_VERSION ? undefined : { ...hello, attempt: 0 };
}

function readWelcome(fields: Fields): Welcome | undefined {
  const { attempt, member, maxMessageBytes, maxBacklogBytes, roomSeed, backplane, hub } = fields;
  const link = readLink(fields.link);
  if (!link || !isCount(attempt) || !isCount(member)) return undefined;
  if (!isCount(maxMessageBytes) || !isCount(maxBacklogBytes)) return undefined;
  if (typeof roomSeed !== "string" || typeof backplane !== "string" || typeof hub !== "string")
    return undefined;
  const limits = { maxMessageBytes, maxBacklogBytes };
  return { [MESSAGE_KEY]: "welcome", attempt, member, link, ...limits, roomSeed, backplane, hub };
}

function readLink(raw: unknown): Welcome["link"] | undefined {
  if (!isObject(raw)) return undefined;
  if (raw.kind === "unix") return { kind: "unix" };
  if (raw.kind === "ipc" && typeof raw.binary === "boolean") return { kind: "ipc", binary: raw.binary };
  if (raw.kind !== "pipe" || !isObject(raw.fds)) return undefined;
  const { toHub, fromHub } = raw.fds;
  return isCount(toHub) && isCount(fromHub) ? { kind: "pipe", fds: { toHub, fromHub } } : undefined;
}

function readFrames({ data }: Fields): IpcFrames | undefined {
  return typeof data === "string" || data instanceof Uint8Array
    ? { [MESSAGE_KEY]: "frames", data }
    : undefined;
}

type Fields = Record<string, unknown>;

function ours(raw: unknown): Fields | undefined {
  return isObject(raw) && MESSAGE_KEY in raw ? raw : undefined;
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
