/**
 * The place of the link's two pipes in the `stdio` of workers that are forked from now on.
 * Owns: that part of the cluster's settings, until it is released. Runs in: primary.
 */
import cluster, { type ClusterSettings, type Worker } from "node:cluster";
import type { PipeFds } from "../wire/handshake.js";

export class StdioPipes {
  /** Known by its identity: the settings hold it only while nobody replaced `stdio`. */
  readonly #stdio: unknown[];
  readonly #fds: PipeFds;
  /** What the setting was before. */
  readonly #before: unknown;

  /** Adds two pipes after what the user has set, or would get by default. */
  constructor() {
    this.#before = cluster.settings.stdio;
    this.#stdio = stdioWithIpc(this.#before);
    const length = this.#stdio.push("pipe", "pipe");
    this.#fds = { toHub: length - 2, fromHub: length - 1 };
    cluster.setupPrimary({ stdio: this.#stdio } as ClusterSettings);
  }

  /** The descriptors of a worker that has just been forked; undefined if it came without the pipes. */
  of(worker: Worker): PipeFds | undefined {
    // Whoever got no process, since the primary has too many files open, has not even a list of them.
    const stdio: readonly unknown[] | undefined = worker.process.stdio;
    const isOurs = cluster.settings.stdio === this.#stdio && stdio?.[this.#fds.fromHub];
    return isOurs ? this.#fds : undefined;
  }

  /** Gives the setting back as it was, unless somebody has changed it since. */
  release(): void {
    if (cluster.settings.stdio !== this.#stdio) return;
    // Not `delete`: setupPrimary() merges what it is given into what it has.
    cluster.setupPrimary({ stdio: this.#before } as ClusterSettings);
  }
}

function stdioWithIpc(before: unknown): unknown[] {
  if (Array.isArray(before)) return [...before];
  if (typeof before === "string") return [before, before, before, "ipc"];
  // An array in `stdio` switches `silent` off. So the first three entries look it up when Node.js reads them,
  // at each fork: `cluster.setupPrimary({ silent: true })` works before and after this.
  const stdio: unknown[] = [0, 1, 2, "ipc"];
  for (const fd of [0, 1, 2]) {
    Object.defineProperty(stdio, fd, {
      enumerable: true,
      get: () => (cluster.settings.silent ? "pipe" : fd),
    });
  }
  return stdio;
}
