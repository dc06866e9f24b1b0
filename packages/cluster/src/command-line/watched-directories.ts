/**
 * Watchers of some directories and of all below them, and what of their events is a change.
 * Owns: a watcher for each directory, and what was seen there last. Runs in: the command line.
 *
 * Not `fs.watch()` with `recursive`: on Linux, that opens every file of `node_modules`.
 */
import { type FSWatcher, watch } from "node:fs";
import { basename, join } from "node:path";
import { bytesOf, fromBytes, fromText, textOf } from "./byte-path.js";
import { CodeFiles, directoryAt, isGone } from "./code-files.js";

interface Watched {
  readonly identity: string;
  /** `undefined` if the system has refused it. */
  watcher: FSWatcher | undefined;
  /** Names of what was there last and can be code. */
  names: Set<string>;
  /** Those of directories, which are watched as well. */
  directories: ReadonlySet<string>;
}

export class WatchedDirectories {
  readonly #tops: () => readonly string[];
  /** What it said last. */
  #entered: readonly string[] = [];
  readonly #files = new CodeFiles();
  readonly #watched = new Map<string, Watched>();
  /** Watched ones in which other directories may be than those that are known. */
  readonly #unseen = new Set<string>();
  readonly #onChange: (path: string) => void;
  readonly #onError: (directory: string, error: unknown) => void;
  /** The first that has come to be watched since the last {@link refresh} began. */
  #found: string | undefined;

  /**
   * @param tops asked again and again; each may be a link; further links are not followed, for they may lead anywhere
   * @param onChange this path has changed
   * @param onError this directory cannot be watched, for another reason than that it is not there
   */
  constructor(
    tops: () => readonly string[],
    onChange: (path: string) => void,
    onError: (directory: string, error: unknown) => void,
  ) {
    this.#tops = () => tops().map(fromText);
    this.#onChange = (path) => onChange(textOf(path));
    this.#onError = (directory, error) => onError(textOf(directory), error);
  }

  /** Whether a directory has to be looked at again, because of a change, or because it could not be looked at. */
  get isBehind(): boolean {
    return this.#unseen.size > 0;
  }

  /**
   * Watches what is there now. To be called after changes: the watcher of a directory that is removed, or replaced by
   * another one at its path, stays with what it was opened for.
   * @returns a directory that is watched from now on: what has happened there was not seen
   */
  refresh(): string | undefined {
    this.#found = undefined;
    const tops = this.#tops();
    if (tops.join("\0") !== this.#entered.join("\0")) this.close();
    this.#entered = tops;
    for (const path of [...this.#unseen]) this.#look(path);
    this.#retryRefused();
    for (const top of tops) this.#enter(top, this.#identityOf(top));
    return this.#found === undefined ? undefined : textOf(this.#found);
  }

  /** A top directory that has come or gone, or is another one now: nobody watches the directories above. */
  replacedTop(): string | undefined {
    const isReplaced = (top: string) => this.#identityOf(top) !== this.#watched.get(top)?.identity;
    const top = this.#tops().find(isReplaced);
    return top === undefined ? undefined : textOf(top);
  }

  close(): void {
    for (const path of this.#watched.keys()) this.#drop(path);
  }

  #enter(path: string, identity: string | undefined): void {
    if (this.#watched.get(path)?.identity === identity) return;
    this.#drop(path);
    if (identity === undefined) return;
    this.#found ??= path;
    this.#open(path, identity);
  }

  #open(path: string, identity: string): void {
    // Kept without a watcher, too: one that is refused is not taken for one that has come anew.
    const watcher = this.#trying(path, () => this.#watcherOf(path));
    this.#watched.set(path, { identity, watcher, names: new Set(), directories: new Set() });
    // When it is watched, so that nothing can come in between.
    this.#look(path);
  }

  #watcherOf(path: string): FSWatcher {
    const watcher = watch(bytesOf(path), { encoding: "buffer" }, (_, name) =>
      this.#onEvent(path, name ? fromBytes(name) : ""),
    );
    return watcher.on("error", (error) => {
      this.#drop(path);
      this.#tell(path, error);
    });
  }

  #retryRefused(): void {
    for (const [path, watched] of [...this.#watched]) {
      if (watched.watcher) continue;
      watched.watcher = this.#trying(path, () => this.#watcherOf(path));
      if (!watched.watcher) continue;
      this.#found ??= path;
      this.#look(path);
    }
  }

  /** A directory that cannot be looked at stays as it was known, and is looked at again. */
  #look(path: string): void {
    const watched = this.#watched.get(path);
    if (!watched) return;
    const found = this.#trying(path, () => this.#files.in(path));
    if (!found) {
      this.#unseen.add(path);
      return;
    }
    this.#unseen.delete(path);
    const { directories: before } = watched;
    const directories = [...found].filter(([, identity]) => identity !== undefined);
    watched.names = new Set(found.keys());
    watched.directories = new Set(directories.map(([name]) => name));
    for (const name of before) {
      if (!watched.directories.has(name)) this.#drop(join(path, name));
    }
    for (const [name, identity] of directories) this.#enter(join(path, name), identity);
  }

  #onEvent(directory: string, name: string): void {
    if (name === basename(directory) && this.#hasEnded(directory)) {
      this.#drop(directory);
      this.#onChange(directory);
    } else if (this.#isChange(directory, name)) {
      this.#unseen.add(directory);
      this.#onChange(join(directory, name));
    }
  }

  /** The end of a directory comes under its own name, which an entry may have as well. */
  #hasEnded(directory: string): boolean {
    return this.#identityOf(directory) !== this.#watched.get(directory)?.identity;
  }

  /** What comes and goes before anybody can look has changed nothing. */
  #isChange(directory: string, name: string): boolean {
    // Without a name, it may be anything.
    if (name === "") return true;
    const kind = this.#files.kindOf(directory, name);
    if (kind === "output") return false;
    const names = this.#watched.get(directory)?.names;
    const wasThere = names?.delete(name);
    if (kind === "code") names?.add(name);
    return kind === "code" || wasThere === true;
  }

  #drop(path: string): void {
    const watched = this.#watched.get(path);
    if (!watched) return;
    watched.watcher?.close();
    this.#watched.delete(path);
    this.#unseen.delete(path);
    for (const name of watched.directories) this.#drop(join(path, name));
  }

  /** `undefined` if there is no directory; what is known of it, if that cannot be seen. */
  #identityOf(path: string): string | undefined {
    try {
      return directoryAt(path);
    } catch (error) {
      this.#tell(path, error);
      return this.#watched.get(path)?.identity;
    }
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
    if (!isGone(error)) this.#onError(path, error);
  }
}
