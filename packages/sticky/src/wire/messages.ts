/**
 * Messages between the router (primary) and the workers, on the cluster's IPC channel.
 * Owns: the format; pure. Runs in: primary and workers.
 *
 * A message is `{ "holdfast:sticky": [kind, …fields] }`: one key tells it from everybody else's traffic.
 * Bytes travel as latin1 strings, which are exact under both `serialization` settings of `node:cluster`.
 *
 * Longer than other files: the table of kinds, and what writes and reads them, are one format.
 */

import type { HostAddress } from "./host-address.js";
import type { HostCredentials } from "./host-credentials.js";
import { NO_OWNER } from "./owner-mark.js";

/** Version of these messages, and of what workers say to each other; both ends say theirs first. */
export const PROTOCOL_VERSION = 12;

/** The key of our messages. */
export const KEY = "holdfast:sticky";

/** Message kinds; the numbers are part of protocol version 12. */
export const Kind = {
  /**
   * primary → worker: the router is here, and again when there is another, or when the directory has changed.
   * [version, tag, directory, secret, edition of the directory]
   */
  welcome: 1,
  /** primary → worker, with a handle. [name, head, settled, ticket, claim after, peer address?, peer port?] */
  connection: 2,
  /** primary → worker: answers `leaving`; no connection of that name comes after it. [name] */
  left: 3,
  /**
   * primary → worker: a router has that name, and where its server listens, if it does.
   * [name, address or path?, port?, family?]
   */
  address: 4,
  /** primary → worker: answers `claim`. [ticket, granted] */
  claimed: 5,
  /** primary → worker: a worker has given all its sessions to another one. [giver, heir] */
  given: 6,
  /** primary → worker: all have heard who has its sessions; finish what is in progress. [task] */
  letGo: 7,
  /**
   * primary → worker: who the other hosts are.
   * [own name, secret, [key, certificate, passphrase, server name, …authorities] or [] without TLS, …(name, tag, address,
   * port, TLS) of each]
   */
  hosts: 8,
  /** primary → the worker that a move comes from: a part has gone on to the other worker; it may send the next. [move] */
  nextPart: 9,
  /**
   * primary → worker: move sessions. [task, at most, at once, close after ms, over ms, the worker that gets those that poll
   * or -1, …workers that get the others in turn]
   */
  moveSessions: 10,
  /** primary → worker: that task is over; what has not left stays. [task] */
  stopMoves: 11,
  /** primary → worker: a part of what goes with the connection of that move. [move, bytes] */
  moveState: 12,
  /**
   * primary → worker, with a handle unless the session has no connection: all of that has come.
   * [move, name, has a connection, what goes with it or "" if that has come, peer address?, peer port?]
   */
  moveConnection: 13,
  /** primary → worker: the connection of that move does not come. [move] */
  moveCancelled: 14,
  /** primary → the worker that it came from: sessions are up there, or were lost. [(move, up)…] */
  moveSettled: 15,
  /** worker → primary: a server takes connections. [version, name] */
  ready: 16,
  /** worker → primary: a server takes no more. [name] */
  leaving: 17,
  /** worker → primary: its counts so far. [a number for each name of `REPORTED`, in its order] */
  report: 18,
  /**
   * worker → primary, with a handle: give it to that worker, -1 for any. [name, owner, head, address, port]
   */
  move: 19,
  /** worker → primary: a connection came late; is it still for this worker? [ticket] */
  claim: 20,
  /** worker → primary: something is wrong with the private sockets. [what, edition, uid, code, text] */
  trouble: 21,
  /** worker → primary: has that name a router? If so, it gets `welcome` and `address`. [name] */
  lookUp: 22,
  /** primary → the worker that gets sessions: that worker is about to give them to it. [giver, heir] */
  giving: 23,
  /**
   * primary → worker: whether that worker lives and can be reached again, and the workers that may have the sessions whose
   * ids name it. [worker, 1 if it does, …those]
   */
  holders: 24,
  /** primary → worker: the last router is closed, and nobody answers what comes after `parted`. `welcome` takes it back. [] */
  over: 25,
  /** primary → worker: answers `departed`; nobody answers until `welcome` comes again. [number] */
  noted: 26,
  /** primary → worker: no router has that name any more. [name] */
  unrouted: 27,
  /**
   * worker → primary, with a handle unless the session has no connection: a session moves.
   * [move, task, worker, name, carrier, what goes with it or "" if that follows, peer address?, peer port?]
   */
  moveOffered: 32,
  /** worker → primary: a part of what goes with it. [move, 1 for the last part, bytes] */
  movePart: 33,
  /** worker → primary: sessions of connections that it was given are up, or are not. [(move, up)…] */
  moveLanded: 34,
  /**
   * worker → primary: how a task goes. [task, 0 underway, 1 no session is left, 2 over, total, moved, lost, closed,
   * (obstacle, sessions)…]
   */
  moveReport: 35,
  /** worker → primary: does that worker live, and who may have the sessions whose ids name it? It gets `holders`. [worker] */
  askHolders: 36,
  /** worker → primary: has heard `giving` or `given` of that worker. [giver] */
  heardOf: 37,
  /**
   * worker → primary: its last server is closed, for the n-th time, and no session is there any more. `ready`, `lookUp` take
   * it back. [n]
   */
  departed: 38,
  /** worker → primary: answers `over` and `noted`; nothing is on its way there any more. [] */
  parted: 39,
} as const;

/**
 * What a worker counts and reports; the order is part of protocol version 12. The three transports are what is open now,
 * all else grows. What has ended and what was refused is told by the reasons' names.
 */
export const REPORTED = [
  "closed",
  "kept",
  "declined",
  "relayed",
  "relayedToHosts",
  "moved",
  "forwardedIn",
  "opened",
  "upgraded",
  "polling",
  "websocket",
  "webtransport",
  "transport close",
  "transport error",
  "ping timeout",
  "forced close",
  "parse error",
  "other",
  "moved away",
  "unknown transport",
  "unknown session",
  "bad handshake method",
  "bad request",
  "forbidden",
  "unsupported protocol",
] as const;

/** A worker's counts so far. */
export type Reported = Readonly<Record<(typeof REPORTED)[number], number>>;

/** What is wrong with the ways to other workers; the numbers are part of protocol version 12. */
const TROUBLES = {
  /** The directory or the worker's socket was removed. */
  removed: 1,
  /** The worker's user may not use the directory or a socket in it. */
  denied: 2,
  /** A private socket fails. */
  failed: 3,
  /** Another host cannot be reached. */
  unreachable: 4,
} as const;

export type TroubleKind = keyof typeof TROUBLES;

/** Longer texts are cut. */
const MAX_TEXT_LENGTH = 500;

/** An address that replaces the connection's own, as a proxy reported it. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** Where a server listens: address and port, or the path of a Unix socket. */
export type ListenAddress =
  | string
  | { readonly address: string; readonly port: number; readonly family: string };

/**
 * What goes with a connection that the router takes back if its worker does not take it. A worker that gets it late
 * must ask whether it was taken back: the connection itself cannot be, once it is on the channel.
 */
export interface Ticket {
  readonly id: number;
  /** From then on the worker must ask; milliseconds of the clock that all processes share. */
  readonly claimAfter: number;
}

export type ToWorker =
  | {
      readonly kind: "welcome";
      readonly version: number;
      readonly tag: string;
      readonly directory: string;
      readonly secret: string;
      readonly edition: number;
    }
  | {
      readonly kind: "connection";
      readonly name: string;
      readonly head: string;
      /** The connection must not move on: the owner that it wants cannot be reached. */
      readonly settled: boolean;
      readonly ticket: Ticket | undefined;
      readonly peer: Peer | undefined;
    }
  | { readonly kind: "claimed"; readonly ticketId: number; readonly isGranted: boolean }
  | { readonly kind: "left" | "unrouted"; readonly name: string }
  | { readonly kind: "over" }
  | { readonly kind: "noted"; readonly departure: number }
  | ({ readonly kind: "hosts" } & KnownHosts)
  | { readonly kind: "address"; readonly name: string; readonly address: ListenAddress | undefined };

export type ToPrimary =
  | { readonly kind: "ready"; readonly version: number; readonly name: string }
  | { readonly kind: "leaving"; readonly name: string }
  | { readonly kind: "report"; readonly counts: Reported }
  | {
      readonly kind: "move";
      readonly name: string;
      readonly owner: number;
      readonly head: string;
      readonly peer: Peer | undefined;
    }
  | { readonly kind: "claim"; readonly ticketId: number }
  | ({ readonly kind: "trouble" } & Trouble)
  | { readonly kind: "lookUp"; readonly name: string }
  | { readonly kind: "departed"; readonly departure: number }
  | { readonly kind: "parted" };

/** The hosts of the application, as this one's workers know them. */
export interface KnownHosts {
  /** This host's own name. */
  readonly name: string;
  readonly secret: string;
  /** `undefined` if hosts speak without TLS. */
  readonly tls: HostCredentials | undefined;
  readonly others: readonly KnownHost[];
}

/** Another host, and how it is reached. */
export interface KnownHost extends HostAddress {
  readonly name: string;
}

/** What a worker has to tell of the ways to others. */
export interface Trouble {
  readonly what: TroubleKind;
  /** Of the private directory, as this worker knows it; 0 where it is not about that. */
  readonly edition: number;
  /** The worker's effective user; -1 where there are none. */
  readonly uid: number;
  /** Of the system's error; empty if there was none. */
  readonly code: string;
  readonly text: string;
}

export function encodeToWorker(message: ToWorker): object {
  switch (message.kind) {
    case "welcome": {
      const { version, tag, directory, secret, edition } = message;
      return { [KEY]: [Kind.welcome, version, tag, directory, secret, edition] };
    }
    case "over":
      return { [KEY]: [Kind.over] };
    case "noted":
      return { [KEY]: [Kind.noted, message.departure] };
    case "left":
    case "unrouted":
      return { [KEY]: [Kind[message.kind], message.name] };
    case "hosts": {
      const others = message.others.flatMap(({ name, tag, host, port, isTls }) => [
        ...[name, tag, host, port, isTls ? 1 : 0],
      ]);
      return { [KEY]: [Kind.hosts, message.name, message.secret, credentialFields(message.tls), ...others] };
    }
    case "claimed":
      return { [KEY]: [Kind.claimed, message.ticketId, message.isGranted ? 1 : 0] };
    case "address": {
      const { name, address } = message;
      if (typeof address !== "object")
        return { [KEY]: [Kind.address, name, ...(address === undefined ? [] : [address])] };
      return { [KEY]: [Kind.address, name, address.address, address.port, address.family] };
    }
    case "connection": {
      const { name, head, settled, ticket, peer } = message;
      const fields = [Kind.connection, name, head, settled ? 1 : 0, ticket?.id ?? 0, ticket?.claimAfter ?? 0];
      return { [KEY]: peer ? [...fields, peer.address, peer.port] : fields };
    }
  }
}

export function encodeToPrimary(message: ToPrimary): object {
  switch (message.kind) {
    case "ready":
      return { [KEY]: [Kind.ready, message.version, message.name] };
    case "leaving":
      return { [KEY]: [Kind.leaving, message.name] };
    case "report":
      return { [KEY]: [Kind.report, ...REPORTED.map((each) => message.counts[each])] };
    case "claim":
      return { [KEY]: [Kind.claim, message.ticketId] };
    case "lookUp":
      return { [KEY]: [Kind.lookUp, message.name] };
    case "departed":
      return { [KEY]: [Kind.departed, message.departure] };
    case "parted":
      return { [KEY]: [Kind.parted] };
    case "move": {
      const { name, owner, head, peer } = message;
      return { [KEY]: [Kind.move, name, owner, head, ...(peer ? [peer.address, peer.port] : [])] };
    }
    case "trouble": {
      const { what, edition, uid, code, text } = message;
      return { [KEY]: [Kind.trouble, TROUBLES[what], edition, uid, code, text.slice(0, MAX_TEXT_LENGTH)] };
    }
  }
}

/** What the message says; `undefined` if it is not one of ours. Never throws. */
export function decodeToWorker(message: unknown): ToWorker | undefined {
  const fields = fieldsOf(message);
  if (!fields) return undefined;
  const [kind, a, b, c, d, e, f, g] = fields;
  if (kind === Kind.connection && typeof a === "string" && typeof b === "string") {
    const ticket = isCount(d) && d > 0 && typeof e === "number" ? { id: d, claimAfter: e } : undefined;
    return { kind: "connection", name: a, head: b, settled: c === 1, ticket, peer: peerOf(f, g) };
  }
  if (kind === Kind.claimed && isCount(a)) return { kind: "claimed", ticketId: a, isGranted: b === 1 };
  if (kind === Kind.over) return { kind: "over" };
  // One of another version has no number, and means all.
  if (kind === Kind.noted) return { kind: "noted", departure: isCount(a) ? a : Number.MAX_SAFE_INTEGER };
  if (kind === Kind.left && typeof a === "string") return { kind: "left", name: a };
  if (kind === Kind.unrouted && typeof a === "string") return { kind: "unrouted", name: a };
  if (kind === Kind.hosts && typeof a === "string" && typeof b === "string") {
    const others = hostsOf(fields.slice(4));
    const tls = credentialsOf(c);
    return others && tls !== "wrong" ? { kind: "hosts", name: a, secret: b, tls, others } : undefined;
  }
  if (kind === Kind.address && typeof a === "string")
    return { kind: "address", name: a, address: addressOf(b, c, d) };
  if (kind === Kind.welcome && isCount(a)) {
    if (typeof b !== "string" || typeof c !== "string" || typeof d !== "string") return undefined;
    // Of another version nothing but the version matters.
    return { kind: "welcome", version: a, tag: b, directory: c, secret: d, edition: countOf(e) };
  }
  return undefined;
}

/** What the message says; `undefined` if it is not one of ours. Never throws. */
export function decodeToPrimary(message: unknown): ToPrimary | undefined {
  const fields = fieldsOf(message);
  if (!fields) return undefined;
  const [kind, a, b, c, d, e] = fields;
  if (kind === Kind.report) {
    const counts = REPORTED.map((name, index) => [name, fields[index + 1]] as const);
    // Each name of the table is there, and has a number.
    if (counts.every(([, count]) => isCount(count)))
      return { kind: "report", counts: Object.fromEntries(counts) as Reported };
  }
  if (kind === Kind.ready && isCount(a) && typeof b === "string")
    return { kind: "ready", version: a, name: b };
  if (kind === Kind.leaving && typeof a === "string") return { kind: "leaving", name: a };
  if (kind === Kind.departed) return { kind: "departed", departure: countOf(a) };
  if (kind === Kind.parted) return { kind: "parted" };
  if (kind === Kind.lookUp && typeof a === "string") return { kind: "lookUp", name: a };
  if (kind === Kind.claim && isCount(a)) return { kind: "claim", ticketId: a };
  if (kind === Kind.move && typeof a === "string" && isOwner(b) && typeof c === "string") {
    return { kind: "move", name: a, owner: b, head: c, peer: peerOf(d, e) };
  }
  if (kind === Kind.trouble && isCount(b) && Number.isSafeInteger(c)) {
    const what = (Object.keys(TROUBLES) as TroubleKind[]).find((each) => TROUBLES[each] === a);
    if (!what || typeof d !== "string" || typeof e !== "string") return undefined;
    const text = e.slice(0, MAX_TEXT_LENGTH);
    return { kind: "trouble", what, edition: b, uid: c as number, code: d, text };
  }
  return undefined;
}

/** The fields of a message of ours; `undefined` for others' messages. */
export function fieldsOf(message: unknown): readonly unknown[] | undefined {
  if (typeof message !== "object" || message === null) return undefined;
  const fields = (message as Record<string, unknown>)[KEY];
  return Array.isArray(fields) ? fields : undefined;
}

/** 0 for what is none. */
export function countOf(value: unknown): number {
  return isCount(value) ? value : 0;
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function hostsOf(fields: readonly unknown[]): KnownHost[] | undefined {
  const hosts: KnownHost[] = [];
  for (let at = 0; at < fields.length; at += 5) {
    const [name, tag, host, port, isTls] = fields.slice(at, at + 5);
    if (typeof name !== "string" || typeof tag !== "string" || typeof host !== "string" || !isCount(port)) {
      return undefined;
    }
    hosts.push({ name, tag, host, port, isTls: isTls === 1 });
  }
  return hosts;
}

function credentialFields(tls: HostCredentials | undefined): string[] {
  return tls ? [tls.key, tls.cert, tls.passphrase ?? "", tls.servername ?? "", ...tls.ca] : [];
}

function credentialsOf(fields: unknown): HostCredentials | undefined | "wrong" {
  if (!Array.isArray(fields) || !fields.every((field) => typeof field === "string")) return "wrong";
  if (fields.length === 0) return undefined;
  const [key = "", cert = "", passphrase, servername, ...ca] = fields as string[];
  return { key, cert, ca, passphrase: passphrase || undefined, servername: servername || undefined };
}

export function isOwner(value: unknown): value is number {
  return value === NO_OWNER || isCount(value);
}

function addressOf(address: unknown, port: unknown, family: unknown): ListenAddress | undefined {
  if (typeof address !== "string") return undefined;
  return isCount(port) && typeof family === "string" ? { address, port, family } : address;
}

export function peerOf(address: unknown, port: unknown): Peer | undefined {
  return typeof address === "string" && isCount(port) ? { address, port } : undefined;
}
