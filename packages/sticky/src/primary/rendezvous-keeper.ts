/**
 * Keeps what the workers of one cluster have in common: the tag in session ids, the private directory and the secret
 * that opens the sockets in it.
 * Owns: the directory, until the process ends. Runs in: primary, one for the process.
 *
 * They are made once and outlive the routers, as sessions do.
 */
import { randomBytes } from "node:crypto";
import { lchownSync, lstatSync, rmSync } from "node:fs";
import { join } from "node:path";
import { reportFailure } from "../diagnostics.js";
import { HoldfastError } from "../errors.js";
import { processWide } from "../process-wide.js";
import {
  inspectDirectory,
  makePrivateDirectory,
  placesForDirectories,
  removePrivateDirectory,
  restoreDirectory,
  socketPath,
  socketsIn,
} from "../rendezvous/private-directory.js";
import { removeStaleDirectories } from "../rendezvous/stale-directories.js";
import { beforeEndBySignal } from "../signal-end.js";
import type { ClusterSecrets } from "../wire/cluster-secrets.js";
import type { Trouble } from "../wire/messages.js";
import { encodeTag, TAG_LENGTH } from "../wire/owner-mark.js";
import type { WorkerDoor } from "./host-link.js";

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

/** What was done about a trouble. */
export interface Mended {
  /** The directory is another one now. */
  readonly moved: boolean;
  /** The worker that reported it is to try again. */
  readonly again: boolean;
  /** What the application should hear. */
  readonly warning: HoldfastError | undefined;
}

export class RendezvousKeeper {
  /**
   * The keeper of this process; made at the first call.
   * @throws {HoldfastError} `HOLDFAST_ERR_PRIVATE_DIRECTORY` if there is no place for the directory
   */
  static get(): RendezvousKeeper {
    return processWide("rendezvous", () => new RendezvousKeeper());
  }

  readonly #tag = encodeTag(randomBytes(TAG_LENGTH));
  readonly #secret = randomBytes(24).toString("base64url");
  #directory = makePrivateDirectory();
  /** Places that have turned out to be no good. */
  readonly #badPlaces = new Set<string>();
  /** The user of the workers that the directory was made over to. */
  #admitted: number | undefined;
  /** Grows with each change of the directory or its user. */
  #change = 0;
  /** Workers that could not get on though the directory was right, and the change after which that was. */
  readonly #denied = new Map<number, number>();
  readonly #saidAt = new Map<string, number>();

  private constructor() {
    const remove = () => this.#remove();
    process.once("exit", remove);
    beforeEndBySignal(remove);
    void removeStaleDirectories();
  }

  get secrets(): ClusterSecrets {
    return { tag: this.#tag, directory: this.#directory, secret: this.#secret };
  }

  /** The way to a worker's private socket; `undefined` if what is in the directory now may be somebody else's. */
  doorOf(workerId: number): WorkerDoor | undefined {
    const owner = this.#admitted ?? process.geteuid?.();
    if (inspectDirectory(this.#directory, owner) !== "ours") return undefined;
    return { number: workerId, path: socketPath(this.#directory, workerId), secret: this.#secret };
  }

  /** What a worker that comes is told. */
  admit(uid: number | undefined): Mended {
    const fit = this.#fit(uid);
    return {
      moved: fit === "moved",
      again: true,
      warning: fit === "refused" ? this.#sayUser(uid) : undefined,
    };
  }

  /** A worker has reported trouble. */
  mend(workerId: number, trouble: Trouble): Mended {
    const { what, text } = trouble;
    reportFailure("rendezvous", `${what}, ${text}`, { workerId });
    if (what === "denied") return this.#onDenied(workerId, trouble);
    if (what === "failed") return this.#onBadSocket(workerId, trouble, BAD_PLACE.has(trouble.code));
    const moved = this.#fit(undefined) === "moved";
    const warning = this.#say(
      "HOLDFAST_ERR_PRIVATE_DIRECTORY",
      what,
      `The directory of the private sockets, or a socket in it, was removed: ${text}. It was made anew. Let ` +
        'whatever cleans that place spare names that start with "holdfast-", or set TMPDIR to another place.',
    );
    return { moved, again: true, warning };
  }

  /** Makes the directory fit for workers of that user; `undefined`: of the user that they have been so far. */
  #fit(uid: number | undefined): "fit" | "mended" | "moved" | "refused" {
    const own = process.geteuid?.();
    if (own === undefined) return "fit";
    const wanted = this.#wanted(uid, own);
    if (inspectDirectory(this.#directory, wanted) === "ours") return "fit";
    if (wanted !== own && (own !== 0 || (this.#admitted ?? wanted) !== wanted)) return "refused";
    // It was removed, or laid out by somebody else, or this process has given up its rights since it made it.
    const moved = !this.#isOwnNow() && this.#move();
    if (wanted !== own && !this.#makeOver(wanted)) return "refused";
    this.#change++;
    return moved ? "moved" : "mended";
  }

  /** Whose directory it should be for workers of that user. */
  #wanted(uid: number | undefined, own: number): number {
    // Root can enter whosever it is.
    return (uid === 0 ? undefined : uid) ?? this.#admitted ?? own;
  }

  #onDenied(workerId: number, trouble: Trouble): Mended {
    const uid = trouble.uid < 0 ? undefined : trouble.uid;
    const fit = this.#fit(uid);
    // Whoever works with this directory keeps it; the worker looks again from time to time.
    if (fit === "refused") return { moved: false, again: false, warning: this.#sayUser(uid) };
    if (fit !== "fit" || this.#isNew(workerId))
      return { moved: fit === "moved", again: true, warning: undefined };
    return this.#onBadSocket(workerId, trouble, true);
  }

  /** What has changed meanwhile may have helped: whether the worker has not been denied since. */
  #isNew(workerId: number): boolean {
    const isNew = this.#denied.get(workerId) !== this.#change;
    this.#denied.set(workerId, this.#change);
    return isNew;
  }

  #onBadSocket(workerId: number, { code, text }: Trouble, isBadPlace: boolean): Mended {
    const moved = isBadPlace && this.#moveOn();
    const then = moved
      ? `The private directory is another one now, ${this.#directory}.`
      : "Until that is mended, requests that reach another worker than the one of their session cannot be relayed.";
    const warning = this.#say(
      "HOLDFAST_ERR_PRIVATE_SOCKET",
      code,
      `A private socket fails for worker ${workerId}: ${text}. ${then}`,
    );
    return { moved, again: moved, warning };
  }

  /** A worker's process is gone. One that was killed has left its socket. */
  forget(workerId: number): void {
    this.#denied.delete(workerId);
    if (process.platform !== "win32") rmSync(socketPath(this.#directory, workerId), { force: true });
  }

  #isOwnNow(): boolean {
    const state = inspectDirectory(this.#directory);
    return (state === "missing" ? restoreDirectory(this.#directory, process.pid) : state) === "ours";
  }

  /** Makes another directory, in a place that was not tried; `false` if there is none. */
  #moveOn(): boolean {
    const untried = this.#untried();
    return untried.length > 0 && this.#moveTo(untried);
  }

  /** The same, and where all were tried, in any. */
  #move(): boolean {
    const untried = this.#untried();
    return this.#moveTo(untried.length > 0 ? untried : placesForDirectories());
  }

  /** All places but this one, and those that were no good before. */
  #untried(): string[] {
    this.#badPlaces.add(join(this.#directory, ".."));
    return placesForDirectories().filter((place) => !this.#badPlaces.has(join(place)));
  }

  #moveTo(places: readonly string[]): boolean {
    try {
      const directory = makePrivateDirectory(places);
      this.#remove();
      this.#directory = directory;
      this.#admitted = undefined;
      this.#change++;
      return true;
    } catch (error) {
      reportFailure("rendezvous", "the directory cannot be made", { error: error as Error });
      return false;
    }
  }

  #remove(): void {
    // What somebody else has laid out in its place is not ours to remove.
    const owners = [process.geteuid?.(), this.#admitted];
    if (owners.some((uid) => inspectDirectory(this.#directory, uid) === "ours")) {
      removePrivateDirectory(this.#directory);
    }
  }

  /**
   * Only root can, and not without the capability for it. What is in the directory may be the doing of a worker with less
   * rights: links are not followed.
   */
  #makeOver(uid: number): boolean {
    try {
      const { gid } = lstatSync(this.#directory);
      for (const name of socketsIn(this.#directory)) {
        const path = join(this.#directory, name);
        if (lstatSync(path).isSocket()) lchownSync(path, uid, gid);
      }
      lchownSync(this.#directory, uid, gid);
      this.#admitted = uid;
      return true;
    } catch (error) {
      reportFailure("rendezvous", "the directory cannot be made over", { error: error as Error });
      return false;
    }
  }

  #sayUser(uid: number | undefined): HoldfastError | undefined {
    const user = this.#wanted(uid, process.geteuid?.() ?? 0);
    return this.#say(
      "HOLDFAST_ERR_WORKER_USER",
      String(user),
      `A worker runs as user ${user}, which cannot use the private directory ${this.#directory} of the others. ` +
        "Start all workers as one user: the primary's, or, if the primary is root, another one.",
    );
  }

  #say(code: HoldfastError["code"], detail: string, text: string): HoldfastError | undefined {
    const key = `${code} ${detail}`;
    const now = performance.now();
    const before = this.#saidAt.get(key);
    if (before !== undefined && now - before < REPEAT_MS) return undefined;
    this.#saidAt.set(key, now);
    return new HoldfastError(code, text);
  }
}
