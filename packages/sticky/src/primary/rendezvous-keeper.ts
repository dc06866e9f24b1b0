/**
 * Keeps what the workers of one cluster have in common: the tag in session ids, the private directory and the secret
 * that opens the sockets in it. Decides what is done, and said, about what workers report of the directory.
 * Owns: tag and secret, and the directory until the process ends. Runs in: primary, one for the process.
 *
 * They are made once and outlive the routers, as sessions do.
 */
import { randomBytes } from "node:crypto";
import { reportFailure } from "../diagnostics.js";
import { HoldfastError } from "../errors.js";
import { processWide } from "../process-wide.js";
import { socketPath } from "../rendezvous/private-directory.js";
import { removeStaleDirectories } from "../rendezvous/stale-directories.js";
import { beforeEndBySignal } from "../signal-end.js";
import type { ClusterSecrets } from "../wire/cluster-secrets.js";
import type { Trouble } from "../wire/messages.js";
import { encodeTag, TAG_LENGTH } from "../wire/owner-mark.js";
import type { WorkerDoor } from "./host-link.js";
import { type Fitting, KeptDirectory } from "./kept-directory.js";

/** Each worker notices the same; it is said once in this time. */
const REPEAT_MS = 60_000;
/** Errors of a socket that tell that the place is no good for sockets. */
const BAD_PLACE = new Set([
  "EROFS",
  "ENOSPC",
  "EDQUOT",
  "ENOTSUP",
  "EOPNOTSUPP",
  "EPERM",
  "ENOTDIR",
  "ELOOP",
]);

/** What came of a report. */
export interface Mended {
  /** The directory is another one now, or of another user: all workers are to hear of it. */
  readonly isChanged: boolean;
  /** What the application should hear. */
  readonly warning: HoldfastError | undefined;
}

const UNTIL_MENDED =
  "Until that is mended, requests that reach another worker than the one of their session cannot be relayed.";

export class RendezvousKeeper {
  /**
   * The keeper of this process; made at the first call.
   * @throws {HoldfastError} `HOLDFAST_ERR_PRIVATE_DIRECTORY` if there is no place for the directory
   */
  static get(): RendezvousKeeper {
    return processWide("rendezvous", () => {
      const directory = new KeptDirectory();
      const remove = () => directory.remove();
      process.prependOnceListener("exit", remove);
      beforeEndBySignal(remove);
      void removeStaleDirectories();
      return new RendezvousKeeper(directory);
    });
  }

  readonly #tag = encodeTag(randomBytes(TAG_LENGTH));
  readonly #secret = randomBytes(24).toString("base64url");
  readonly #directory: KeptDirectory;
  readonly #saidAt = new Map<string, number>();

  constructor(directory: KeptDirectory) {
    this.#directory = directory;
  }

  get secrets(): ClusterSecrets {
    const { path, edition } = this.#directory;
    return { tag: this.#tag, directory: path, edition, secret: this.#secret };
  }

  /** The way to a worker's private socket; `undefined` if what is in the directory now may be somebody else's. */
  doorOf(workerId: number): Omit<WorkerDoor, "lives"> | undefined {
    if (!this.#directory.isSafe()) return undefined;
    return { number: workerId, path: socketPath(this.#directory.path, workerId), secret: this.#secret };
  }

  /** A worker of that user comes; `undefined`: of the primary's. */
  admit(uid: number | undefined): Mended {
    return this.#onFitted(this.#directory.fitFor(uid), uid);
  }

  /** A worker's process is gone. */
  forget(workerId: number): void {
    this.#directory.forget(workerId);
  }

  /** A worker has reported trouble. */
  mend(workerId: number, trouble: Trouble): Mended {
    const { what, edition, text } = trouble;
    reportFailure("rendezvous", `${what}, ${text}`, { workerId });
    // It has not heard yet of the change, and looks again when it does.
    if (edition !== this.#directory.edition) return { isChanged: false, warning: undefined };
    if (what === "removed") return this.#onRemoved(trouble);
    if (what === "denied") return this.#onDenied(workerId, trouble);
    return this.#onBadSocket(workerId, trouble, BAD_PLACE.has(trouble.code));
  }

  #onRemoved({ uid, text }: Trouble): Mended {
    // The worker may have made it anew, and have other rights than the primary by now.
    const forWorker = this.#directory.fitFor(userOf(uid));
    // If it is not for that worker, it is still for the others.
    const fitting = forWorker === "refused" ? this.#directory.fitFor(undefined) : forWorker;
    if (fitting instanceof HoldfastError) return this.#onFitted(fitting, undefined);
    // Where this process has no right to, the workers do it.
    const then = fitting === "moved" ? this.#newPlace() : "It was made anew.";
    const warning = this.#say(
      "HOLDFAST_ERR_PRIVATE_DIRECTORY",
      then,
      `The directory of the private sockets, or a socket in it, was removed: ${text}. ${then} Let whatever cleans ` +
        'that place spare names that start with "holdfast-", or set TMPDIR to another place.',
    );
    return { isChanged: fitting === "moved" || fitting === "mended", warning };
  }

  #onDenied(workerId: number, trouble: Trouble): Mended {
    const uid = userOf(trouble.uid);
    const fitting = this.#directory.fitFor(uid);
    // Nobody else's rights are in the way: its own are.
    if (fitting === "fit") return this.#onBadSocket(workerId, trouble, true);
    return this.#onFitted(fitting, uid);
  }

  #onFitted(fitting: Fitting, uid: number | undefined): Mended {
    if (fitting instanceof HoldfastError) return { isChanged: false, warning: this.#sayNoPlace(fitting) };
    // It looks again from time to time.
    if (fitting === "refused") return { isChanged: false, warning: this.#sayUser(uid) };
    return { isChanged: fitting !== "fit", warning: undefined };
  }

  #onBadSocket(workerId: number, { code, text }: Trouble, isBadPlace: boolean): Mended {
    const isChanged = isBadPlace && this.#directory.leavePlace();
    const then = isChanged ? this.#newPlace() : UNTIL_MENDED;
    const warning = this.#say(
      "HOLDFAST_ERR_PRIVATE_SOCKET",
      `${code} ${then}`,
      `A private socket fails for worker ${workerId}: ${text}. ${then}`,
    );
    return { isChanged, warning };
  }

  #newPlace(): string {
    return `The private directory is another one now, ${this.#directory.path}.`;
  }

  #sayNoPlace({ message }: HoldfastError): HoldfastError | undefined {
    const text = `The private directory ${this.#directory.path} is of no use any more. ${message} ${UNTIL_MENDED}`;
    return this.#say("HOLDFAST_ERR_PRIVATE_DIRECTORY", "no place", text);
  }

  #sayUser(uid: number | undefined): HoldfastError | undefined {
    const user = this.#directory.userFor(uid);
    return this.#say(
      "HOLDFAST_ERR_WORKER_USER",
      String(user),
      `A worker runs as user ${user}, which cannot use the private directory ${this.#directory.path} of the others. ` +
        "Start all workers as one user: the primary's, or, if the primary is root, another one.",
    );
  }

  /** @param what by which it is told from others of that code */
  #say(code: HoldfastError["code"], what: string, text: string): HoldfastError | undefined {
    const key = `${code} ${what}`;
    const now = performance.now();
    for (const [each, at] of this.#saidAt) if (now - at >= REPEAT_MS) this.#saidAt.delete(each);
    if (this.#saidAt.has(key)) return undefined;
    this.#saidAt.set(key, now);
    return new HoldfastError(code, text);
  }
}

/** `undefined` where there are no users. */
function userOf(uid: number): number | undefined {
  return uid < 0 ? undefined : uid;
}
