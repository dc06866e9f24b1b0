/**
 * What two hosts say to each other on a connection before anything else: each proves that it knows the secret of the
 * application's hosts, and nothing else is said until both have.
 * Owns: the format; pure. Runs in: primary and workers.
 *
 *     caller → host   "hfho", version (1 byte), nonce (32), length of the name (1), the caller's name
 *     host → caller   version (1), nonce (32), proof (32), length of the name (1), the host's name; or only a zero, if the
 *                     caller's certificate is not trusted
 *     caller → host   target (4 bytes, little-endian), proof (32)
 *     host → caller   answer (1); then, if the target was reached, frames of `link-frame.ts`. On a connection that only
 *                     watches, nothing, or that the host leaves
 *
 * A proof is an HMAC over who says it, both names, both nonces and the target, so that none is good for another
 * connection, another target or the other direction. The parties speak by turns: who has sent more than its turn is none
 * of them. Whoever does not know the secret learns nothing but the host's name.
 */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { LINK_VERSION } from "./link-frame.js";

/** The version of what follows is that of the links, which are opened by it. */
export const HOST_VERSION = LINK_VERSION;

const MAGIC = Buffer.from("hfho");
export const NONCE_BYTES = 32;
const PROOF_BYTES = 32;
/** How long a name may be, in bytes. */
export const MAX_NAME_BYTES = 64;
const GREETING_BYTES = MAGIC.length + 1 + NONCE_BYTES + 1;
const CHALLENGE_BYTES = 1 + NONCE_BYTES + PROOF_BYTES + 1;
const REQUEST_BYTES = 4 + PROOF_BYTES;
/** Nobody has more to say before it has proven who it is. */
export const MAX_UNPROVEN_BYTES = GREETING_BYTES + MAX_NAME_BYTES;

/** In place of the version: with TLS, the certificate of the caller is not trusted. */
const UNTRUSTED = 0;

/** In place of a worker's id: nothing but to see when the host's process ends. */
export const WATCH = 0xffff_ffff;

/** What the host says in the end; the numbers are part of the format. */
export const HostAnswer = {
  /** The worker is there: what follows is a link to it. */
  reached: 0,
  /** There is no such worker any more. */
  gone: 1,
  /** It cannot be reached now. */
  busy: 2,
  /** On a connection that watches: the host closes its port, and lives on. */
  leaving: 3,
} as const;

export type HostAnswer = (typeof HostAnswer)[keyof typeof HostAnswer];

/** Not all has come. */
export type Unfinished = "more";
/** It is none of ours. */
export type Wrong = "wrong";

export interface Greeting {
  readonly nonce: Buffer;
  readonly name: string;
}

export interface Challenge extends Greeting {
  readonly proof: Buffer;
}

/** What a caller wants, and its proof. */
export interface HostRequest {
  /** Id of a worker. */
  readonly target: number;
  readonly proof: Buffer;
}

/** All that a proof is about. */
export interface Parties {
  readonly caller: Greeting;
  readonly host: Greeting;
}

/** The key of all proofs. */
export function proofKey(secret: string): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, "", "holdfast hosts", PROOF_BYTES));
}

export function encodeGreeting({ nonce, name }: Greeting): Buffer {
  return Buffer.concat([MAGIC, Buffer.of(HOST_VERSION), nonce, named(name)]);
}

/** @returns `version` if the caller speaks another one */
export function readGreeting(bytes: Buffer): Greeting | Unfinished | Wrong | "version" {
  const magic = bytes.subarray(0, MAGIC.length);
  if (!MAGIC.subarray(0, magic.length).equals(magic)) return "wrong";
  if (bytes.length <= MAGIC.length) return "more";
  // Of another version nothing but the version is known.
  if (bytes[MAGIC.length] !== HOST_VERSION) return "version";
  const name = readName(bytes, GREETING_BYTES);
  if (typeof name !== "object") return name;
  return { nonce: bytes.subarray(MAGIC.length + 1, GREETING_BYTES - 1), name: name.text };
}

/** What a caller of another version is told. */
export function encodeVersion(): Buffer {
  return Buffer.of(HOST_VERSION);
}

/** What a caller is told whose certificate is not trusted. */
export function encodeUntrusted(): Buffer {
  return Buffer.of(UNTRUSTED);
}

export function encodeChallenge(key: Buffer, parties: Parties): Buffer {
  const { nonce, name } = parties.host;
  return Buffer.concat([Buffer.of(HOST_VERSION), nonce, hostProof(key, parties), named(name)]);
}

/** @returns `version` if the host speaks another one, `untrusted` if it does not trust the caller's certificate */
export function readChallenge(bytes: Buffer): Challenge | Unfinished | Wrong | "version" | "untrusted" {
  if (bytes.length === 0) return "more";
  if (bytes[0] === UNTRUSTED) return "untrusted";
  if (bytes[0] !== HOST_VERSION) return "version";
  const name = readName(bytes, CHALLENGE_BYTES);
  if (typeof name !== "object") return name;
  const proofAt = 1 + NONCE_BYTES;
  return {
    nonce: bytes.subarray(1, proofAt),
    proof: bytes.subarray(proofAt, proofAt + PROOF_BYTES),
    name: name.text,
  };
}

/** Whether the host knows the secret, and has spoken to this caller. */
export function isProvenHost(key: Buffer, parties: Parties, proof: Buffer): boolean {
  return isSame(hostProof(key, parties), proof);
}

export function encodeRequest(key: Buffer, parties: Parties, target: number): Buffer {
  const request = Buffer.alloc(REQUEST_BYTES);
  request.writeUInt32LE(target, 0);
  callerProof(key, parties, target).copy(request, 4);
  return request;
}

export function readRequest(bytes: Buffer): HostRequest | Unfinished | Wrong {
  if (bytes.length < REQUEST_BYTES) return "more";
  if (bytes.length > REQUEST_BYTES) return "wrong";
  return { target: bytes.readUInt32LE(0), proof: bytes.subarray(4) };
}

/** Whether the caller knows the secret, and has spoken to this host. */
export function isProvenCaller(key: Buffer, parties: Parties, { target, proof }: HostRequest): boolean {
  return isSame(callerProof(key, parties, target), proof);
}

/** `undefined` if it is no answer. */
export function readAnswer(byte: number): HostAnswer | undefined {
  return Object.values(HostAnswer).find((answer) => answer === byte);
}

function hostProof(key: Buffer, parties: Parties): Buffer {
  return proofOf(key, "host", parties, 0);
}

function callerProof(key: Buffer, parties: Parties, target: number): Buffer {
  return proofOf(key, "caller", parties, target);
}

/** All parts have a fixed length, or their length in front. */
function proofOf(key: Buffer, role: "host" | "caller", { caller, host }: Parties, target: number): Buffer {
  const hmac = createHmac("sha256", key).update(Buffer.of(HOST_VERSION)).update(named(role));
  hmac.update(caller.nonce).update(host.nonce).update(named(caller.name)).update(named(host.name));
  const wanted = Buffer.alloc(4);
  wanted.writeUInt32LE(target, 0);
  return hmac.update(wanted).digest();
}

/** A name behind its length; a longer one is cut, and then proves nothing. */
function named(name: string): Buffer {
  const bytes = Buffer.from(name).subarray(0, MAX_NAME_BYTES);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** The name at the end, which is all that may come. @param headBytes what stands in front of it, with its length */
function readName(bytes: Buffer, headBytes: number): { readonly text: string } | Unfinished | Wrong {
  if (bytes.length < headBytes) return "more";
  const length = bytes[headBytes - 1] as number;
  if (length === 0 || length > MAX_NAME_BYTES || bytes.length > headBytes + length) return "wrong";
  if (bytes.length < headBytes + length) return "more";
  return { text: bytes.toString("utf8", headBytes) };
}

function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
