/**
 * The owner's mark in front of a session id: which cluster, and which of its workers.
 * Owns: nothing; pure. Runs in: primary and workers.
 *
 *     Ab3-xY AAAB 7vJ4k2…   tag of the cluster (6), id of the worker (4), the id that Engine.IO generated
 *
 * Tags are drawn at random. Hosts of one application must not have the same: of 1,000 hosts, two do so once in 100,000.
 */

/** In place of a worker id: the connection belongs to no session, or its owner is unknown. */
export const NO_OWNER = -1;

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VALUES: readonly number[] = (() => {
  const values = new Array<number>(128).fill(-1);
  for (let i = 0; i < ALPHABET.length; i++) values[ALPHABET.charCodeAt(i)] = i;
  return values;
})();

/** Length of a cluster's tag, in characters. */
export const TAG_LENGTH = 6;
const ID_LENGTH = 4;
/** Length of an owner's mark, in characters. */
export const MARK_LENGTH = TAG_LENGTH + ID_LENGTH;
/** The greatest worker id that a mark can carry. */
export const MAX_WORKER_ID = 64 ** ID_LENGTH - 1;

/** Turns random bytes into a cluster's tag. */
export function encodeTag(random: Uint8Array): string {
  let tag = "";
  for (let i = 0; i < TAG_LENGTH; i++) tag += ALPHABET[(random[i] ?? 0) & 63];
  return tag;
}

/** Whether the text can be a cluster's tag. */
export function isTag(text: string): boolean {
  if (text.length !== TAG_LENGTH) return false;
  for (let i = 0; i < TAG_LENGTH; i++) if ((VALUES[text.charCodeAt(i)] ?? -1) < 0) return false;
  return true;
}

/** The tag in a session id, whosever it is; `undefined` if it is too short for one. */
export function tagOf(sessionId: string): string | undefined {
  return sessionId.length < MARK_LENGTH ? undefined : sessionId.slice(0, TAG_LENGTH);
}

/** The mark of a worker; `undefined` for an id that does not fit, whose sessions then have no owner. */
export function encodeMark(tag: string, workerId: number): string | undefined {
  if (!Number.isInteger(workerId) || workerId < 0 || workerId > MAX_WORKER_ID) return undefined;
  let code = "";
  for (let shift = 6 * (ID_LENGTH - 1); shift >= 0; shift -= 6) code += ALPHABET[(workerId >> shift) & 63];
  return tag + code;
}

/** The worker id in a session id's mark; {@link NO_OWNER} if the session id has no mark of this cluster. */
export function decodeMark(tag: string, sessionId: string): number {
  if (sessionId.length < MARK_LENGTH || !sessionId.startsWith(tag)) return NO_OWNER;
  let workerId = 0;
  for (let i = TAG_LENGTH; i < MARK_LENGTH; i++) {
    const value = VALUES[sessionId.charCodeAt(i)] ?? -1;
    if (value < 0) return NO_OWNER;
    workerId = workerId * 64 + value;
  }
  return workerId;
}
