/**
 * Tells when a file below some directories has changed; one word for many changes.
 * Owns: a watcher for each directory, their debounce. Runs in: the command line.
 *
 * Not `fs.watch()` with `recursive`: on Linux, that opens every file of `node_modules`.
 */
import { type FSWatcher, readdirSync, statSync, watch } from "node:fs";
import { join } from "node:path";
import { Debounce } from "./debounce.js";

/** An editor or a build writes several files, in several steps. */
const QUIET_MS = 150;
/** A file that is written all the time keeps the others from being told for so long. */
const MOST_MS = 1_000;
/** Not looked at: what others install, and what is hidden. */
const SKIPPED = /^(node_modules$|\.)/;

export class FileWatch {
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #debounce: Debounce<string>;

  constructor(directories: readonly string[], onChange: (file: string) => void) {
    this.#debounce = new Debounce(QUIET_MS, MOST_MS, onChange);
    for (const directory of directories) this.#add(directory);
  }

  close(): void {
    this.#debounce.cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #add(directory: string): void {
    if (this.#watchers.has(directory)) return;
    try {
      const watcher = watch(directory, (_, name) => this.#onEvent(directory, name ?? ""));
      this.#watchers.set(directory, watcher);
      watcher.on("error", () => this.#drop(directory));
      for (const entry of readdirSync(directory, { withFileTypes: true })) {
        if (entry.isDirectory() && !SKIPPED.test(entry.name)) this.#add(join(directory, entry.name));
      }
    } catch {
      // It was removed meanwhile.
      this.#drop(directory);
    }
  }

  #drop(directory: string): void {
    this.#watchers.get(directory)?.close();
    this.#watchers.delete(directory);
  }

  #onEvent(directory: string, name: string): void {
    if (SKIPPED.test(name)) return;
    const path = join(directory, name);
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats?.isDirectory()) this.#add(path);
    this.#debounce.add(path);
  }
}
