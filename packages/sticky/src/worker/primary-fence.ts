/**
 * Tells when the primary has read what this worker has sent.
 * Owns: a server, until it is known. Runs in: workers.
 *
 * node:cluster's primary answers a `listen()` after all messages before it, whether or not it has loaded anything of ours:
 * here for a place where nobody can listen, so nothing else comes of it. Each question has a place of its own: when
 * workers share one that fails, the second answer throws in node:cluster, and ends the primary.
 */
import { createServer } from "node:net";

const NOWHERE = "/dev/null/holdfast";
let questions = 0;

/** Settles at once when the primary is gone. */
export function untilPrimaryHasRead(): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected) return resolve();
    const question = createServer();
    const finish = () => {
      process.off("disconnect", finish);
      question.close(() => {});
      resolve();
    };
    process.prependOnceListener("disconnect", finish);
    question.once("error", finish).once("listening", finish);
    question.listen({ path: `${NOWHERE}-${process.pid}-${++questions}` });
  });
}
