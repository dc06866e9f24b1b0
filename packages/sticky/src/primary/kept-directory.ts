/**
 * The private directory of a cluster: where it is, and whose workers can use it.
 * Owns: the directory, and which places have turned out to be no good. Runs in: primary.
 *
 * Each change makes another edition of it, of which all workers are told. What they report of a former one is of the
 * past.
 */
import { lchownSync, lstatSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { reportFailure } from "../diagnostics.js";
import type { HoldfastError } from "../errors.js";
import {
  inspectDirectory,
  makePrivateDirectory,
  placesForDirectories,
  removePrivateDirectory,
  removeSocket,
  restoreDirectory,
  socketPath,
  socketsIn,
} from "../rendezvous/private-directory.js";

/**
 * What was done so that workers of a user can use it. `fit`: nothing, they can. `mended`: it is theirs now. `moved`: it
 * is another one now, which is theirs. `refused`: it is for workers of another user, or cannot be made over to them. An
 * error: nobody can use it, and there is no place for another one.
 */
export type Fitting = "fit" | "mended" | "moved" | "refused" | HoldfastError;

export class KeptDirectory {
  readonly #places: () => readonly string[];
  readonly #badPlaces = new Set<string>();
  #path: string;
  #edition = 1;
  /** The user of the workers that it was made over to. */
  #holder: number | undefined;

  /**
   * @param places where it may be, the best first
   * @throws {HoldfastError} `HOLDFAST_ERR_PRIVATE_DIRECTORY` if none will do
   */
  constructor(places: () => readonly string[] = placesForDirectories) {
    this.#places = places;
    this.#path = makePrivateDirectory(places());
  }

  get path(): string {
    return this.#path;
  }

  /** Grows with each change of its place or its user. */
  get edition(): number {
    return this.#edition;
  }

  /** Whether what is there now is certainly the workers'. */
  isSafe(): boolean {
    return inspectDirectory(this.#path, this.userFor(undefined)) === "ours";
  }

  /** Whose it should be for workers of that user, or, with `undefined`, of the user that they have been so far. */
  userFor(uid: number | undefined): number | undefined {
    // Root can enter whosever it is.
    return (uid === 0 ? undefined : uid) ?? this.#holder ?? process.geteuid?.();
  }

  /** Makes it fit for workers of that user; `undefined`: of the user that they have been so far. */
  fitFor(uid: number | undefined): Fitting {
    const [own, user] = [process.geteuid?.(), this.userFor(uid)];
    if (own === undefined || user === undefined) return "fit";
    // Whoever works with it keeps it.
    if ((this.#holder ?? user) !== user) return "refused";
    if (inspectDirectory(this.#path, user) === "ours") return this.#keepFor(user);
    // Only root can give something away.
    if (user !== own && own !== 0) return "refused";
    if (this.#isOwnNow()) return this.#makeOver(user);
    // A worker has made it anew in this moment.
    if (inspectDirectory(this.#path, user) === "ours") return this.#keepFor(user);
    // Somebody else has laid it out, or this process has given up its rights since it made it.
    this.#shunPlace();
    const places = new Set([...this.#untried(), ...this.#places()]);
    return this.#moveTo([...places], user) ?? "moved";
  }

  /** Makes another one, for the same workers, where none was before. @returns whether there is such a place */
  leavePlace(): boolean {
    this.#shunPlace();
    const untried = this.#untried();
    return untried.length > 0 && this.#moveTo(untried, this.userFor(undefined)) === undefined;
  }

  /** A worker's process is gone. One that was killed has left its socket. */
  forget(workerId: number): void {
    removeSocket(socketPath(this.#path, workerId));
  }

  remove(): void {
    // What somebody else has laid out in its place is not ours to remove.
    const owners = [process.geteuid?.(), this.#holder];
    if (owners.some((uid) => inspectDirectory(this.#path, uid) === "ours"))
      removePrivateDirectory(this.#path);
  }

  #isOwnNow(): boolean {
    const state = inspectDirectory(this.#path);
    return (state === "missing" ? restoreDirectory(this.#path, process.pid) : state) === "ours";
  }

  #shunPlace(): void {
    this.#badPlaces.add(dirname(this.#path));
  }

  #untried(): string[] {
    return this.#places().filter((place) => !this.#badPlaces.has(resolve(place)));
  }

  /** @returns why there is none */
  #moveTo(places: readonly string[], user: number | undefined): HoldfastError | undefined {
    try {
      // For the same workers from the beginning: the first to ask for it need not be one of them.
      const path = makePrivateDirectory(places, (made) => this.#give(made, user));
      this.remove();
      this.#path = path;
      this.#edition++;
      return undefined;
    } catch (error) {
      reportFailure("rendezvous", "the directory cannot be made", { error: error as Error });
      return error as HoldfastError;
    }
  }

  /** It is theirs. One that they have made anew themselves is noted as that, which takes no rights. */
  #keepFor(user: number): "fit" | "mended" | "refused" {
    if (this.#hasSocketsOfOthers(user)) return this.#makeOver(user);
    if (user === this.#holder || user === process.geteuid?.()) return "fit";
    this.#holder = user;
    this.#edition++;
    return "mended";
  }

  #makeOver(user: number): "mended" | "refused" {
    try {
      this.#give(this.#path, user);
      this.#edition++;
      return "mended";
    } catch (error) {
      reportFailure("rendezvous", "the directory cannot be made over", { error: error as Error });
      return "refused";
    }
  }

  /** Only root can, and not without the capability for it. */
  #give(path: string, user: number | undefined): void {
    if (user === undefined || user === process.geteuid?.()) return;
    const { gid } = lstatSync(path);
    for (const socket of socketsOf(path)) giveSocket(socket, user, gid);
    lchownSync(path, user, gid);
    this.#holder = user;
  }

  /** A worker that is root opens its own as root, whosever the directory is. */
  #hasSocketsOfOthers(user: number): boolean {
    if (process.geteuid?.() !== 0 || user === 0) return false;
    try {
      return socketsOf(this.#path).some((path) => lstatSync(path).uid !== user);
    } catch {
      // It changes at this moment. Whoever is denied then says so again.
      return false;
    }
  }
}

/** Its worker may close it in this moment. */
function giveSocket(path: string, user: number, gid: number): void {
  try {
    lchownSync(path, user, gid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** What is in it may be the doing of a worker with less rights: links are not followed. */
function socketsOf(directory: string): string[] {
  return socketsIn(directory)
    .map((name) => join(directory, name))
    .filter((path) => lstatSync(path, { throwIfNoEntry: false })?.isSocket());
}
