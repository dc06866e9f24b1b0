/**
 * Watchers of some directories and of all below them.
 * Owns: a watcher for each directory. Runs in: the command line.
 *
 * Not `fs.watch()` with `recursive`: on Linux, that opens every file of `node_modules`.
 */
import { existsSync, type FSWatcher, lstatSync, readdirSync, statSync, watch } from "node:fs";
import { basename, join } from "node:path";
import { codeOf } from "../errors.js";
import { identityOf } from "../file-identity.js";

/** Not looked at: what others install, and what is hidden. */
const SKIPPED = /^(node_modules$|\.)/;
/** Codes of a path that leads to no directory. */
const GONE = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);

interface Watched {
  readonly identity: string;
  /** `undefined` if the system has refused it. */
  readonly watcher: FSWatcher | undefined;
}

export class WatchedDirectories {
  readonly #tops: readonly string[];
  readonly #watched = new Map<string, Watched>();
  readonly #onEvent: (path: string) => void;
  readonly #onError: (directory: string, error: unknown) => void;

  /**
   * @param tops each may be a link; further links are not followed, for they may lead anywhere
   * @param onEvent something has happened to this path
   * @param onError this directory cannot be watched, for another reason than that it is not there
   */
  constructor(
    tops: readonly string[],
    onEvent: (path: string) => void,
    onError: (directory: string, error: unknown) => void,
  ) {
    this.#tops = tops;
    this.#onEvent = onEvent;
    this.#onError = onError;
  }

  /**
   * Watches what is there now. To be called after events: the watcher of a directory that is removed, or replaced by
   * another one at its path, stays with what it was opened for.
   */
  refresh(): void {
    const found = new Set<string>();
    for (const top of this.#tops) this.#visit(top, this.#identityOfTop(top), found);
    for (const path of this.#watched.keys()) if (!found.has(path)) this.#drop(path);
  }

  /** A top directory that has come or gone, or is another one now: nobody watches the directories above. */
  replacedTop(): string | undefined {
    return this.#tops.find((top) => this.#identityOfTop(top) !== this.#watched.get(top)?.identity);
  }

  close(): void {
    for (const path of this.#watched.keys()) this.#drop(path);
  }

  #visit(path: string, identity: string | undefined, found: Set<string>): void {
    if (identity === undefined || found.has(path)) return;
    found.add(path);
    this.#watch(path, identity);
    for (const name of this.#directoriesIn(path)) {
      const below = join(path, name);
      this.#visit(below, this.#identityOf(below, lstatSync), found);
    }
  }

  #watch(path: string, identity: string): void {
    const known = this.#watched.get(path);
    if (known?.watcher && known.identity === identity) return;
    this.#drop(path);
    // Kept without a watcher, too: one that is refused is not taken for one that has come anew.
    this.#watched.set(path, { identity, watcher: this.#open(path) });
  }

  #open(path: string): FSWatcher | undefined {
    return this.#trying(path, () => {
      const watcher = watch(path, (_, name) => this.#onName(path, name ?? ""));
      return watcher.on("error", (error) => {
        this.#drop(path);
        this.#tell(path, error);
      });
    });
  }

  #drop(path: string): void {
    this.#watched.get(path)?.watcher?.close();
    this.#watched.delete(path);
  }

  #onName(directory: string, name: string): void {
    const path = join(directory, name);
    if (name === basename(directory) && !existsSync(path)) this.#onEnd(directory);
    else if (!SKIPPED.test(name)) this.#onEvent(path);
  }

  /** The end of a directory comes under its own name. What is made in its place may have the same inode. */
  #onEnd(directory: string): void {
    this.#drop(directory);
    this.#onEvent(directory);
  }

  #directoriesIn(path: string): string[] {
    const entries = this.#trying(path, () => readdirSync(path, { withFileTypes: true })) ?? [];
    return entries
      .filter((entry) => entry.isDirectory() && !SKIPPED.test(entry.name))
      .map(({ name }) => name);
  }

  #identityOfTop(path: string): string | undefined {
    return this.#identityOf(path, statSync);
  }

  /** `undefined` if there is no directory. */
  #identityOf(path: string, look: typeof statSync): string | undefined {
    const stats = this.#trying(path, () => look(path, { bigint: true }));
    return stats?.isDirectory() ? identityOf(stats) : undefined;
  }

  #trying<T>(path: string, act: () => T): T | undefined {
    try {
      return act();
    } catch (error) {
      this.#tell(path, error);
      return undefined;
    }
  }

  #tell(path: string, error: unknown): void {
    if (!GONE.has(codeOf(error))) this.#onError(path, error);
  }
}
