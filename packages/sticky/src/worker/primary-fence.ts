/**
 * Tells when the primary has read what this worker has sent.
 * Owns: a server, until it is known. Runs in: workers.
 *
 * node:cluster's primary answers a `listen()` after all messages before it, whether or not it has loaded anything of ours:
 * here for a file descriptor that it cannot have, so nothing else comes of it. A path would not do: for it, the primary
 * asks for its working directory, and ends if that has been removed. Each question has a number of its own: when workers
 * share one that fails, the second answer throws in node:cluster, and ends the primary.
 */
import { createServer } from "node:net";

/** More than any limit of descriptors that is in use; the highest that libuv takes. */
const HIGHEST_DESCRIPTOR = 2 ** 31 - 1;
/** A worker asks one at a time, so its process id tells its question from those of others. */
let latest = Promise.resolve();

/** Settles at once when the primary is gone. */
export function untilPrimaryHasRead(): Promise<void> {
  latest = latest.then(ask);
  return latest;
}

function ask(): Promise<void> {
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
    question.listen({ fd: HIGHEST_DESCRIPTOR - process.pid });
  });
}
