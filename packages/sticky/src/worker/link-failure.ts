/**
 * Why a link to an owner could not be had, and what that means for who waits for it.
 * Owns: nothing; pure. Runs in: workers.
 */
import { HostCallError } from "../hosts/host-call.js";
import { isAbsence } from "../rendezvous/private-directory.js";

/** This process or the machine lacks something for the moment, or the owner's backlog is full. */
const SHORTAGES = new Set(["EAGAIN", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

/** A host that is `away` has ended only if the primary says so, which then closes this link. */
const HOST_FAILURES = {
  gone: "gone",
  busy: "turned-away",
  away: "turned-away",
  silent: "trouble",
  trouble: "trouble",
} as const;

/**
 * It has been so for a while, so it is no worker that has just died.
 * @param cause what the system says of it, if it does
 */
export function turnedAway(cause: Error | undefined): Error {
  const text =
    "whoever listens at the private socket of a worker closes each connection" +
    `${cause ? ` (${cause.message})` : ""}: it is another worker, or lacks file descriptors`;
  return Object.assign(new Error(text, cause && { cause }), { code: "EPROTO" });
}

/**
 * `gone`: its host says so. `absent`: there is no socket, or nobody listens on it, which may be so for the moment in which
 * a worker opens it anew. `turned-away`: the owner has closed the connection before it said a word: it lacks descriptors,
 * or has just died. `trouble`: somebody has to mend it.
 */
export function whatItMeans(
  error: Error | undefined,
): "gone" | "absent" | "shortage" | "turned-away" | "trouble" {
  if (error instanceof HostCallError) return HOST_FAILURES[error.why];
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === undefined || code === "ECONNRESET" || code === "EPIPE") return "turned-away";
  if (isAbsence(code)) return "absent";
  return SHORTAGES.has(code) ? "shortage" : "trouble";
}
