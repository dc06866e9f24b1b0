/**
 * Tells when a file below some directories has changed; one word for many changes.
 * Owns: the watched directories, their debounce, a timer. Runs in: the command line.
 */
import { codeOf } from "../errors.js";
import { Debounce } from "./debounce.js";
import { describeWatchFailure } from "./watch-failure.js";
import { WatchedDirectories } from "./watched-directories.js";

/** An editor or a build writes several files, in several steps. */
const QUIET_MS = 150;
/** A file that is written all the time keeps the others from being told for so long. */
const MOST_MS = 1_000;
/** How often to look whether a top directory has been replaced, and at what could not be looked at. */
const LOOK_MS = 1_000;

export class FileWatch {
  readonly #directories: WatchedDirectories;
  readonly #debounce: Debounce<string>;
  /** Not `unref`ed: whoever waits for a change waits for a directory that is gone, too. */
  readonly #timer: NodeJS.Timeout;
  /** Codes of what has been warned of. */
  readonly #warned = new Set<string>();

  /** @param directories asked again and again */
  constructor(directories: () => readonly string[], onChange: (path: string) => void) {
    this.#debounce = new Debounce(QUIET_MS, MOST_MS, (first) => {
      // Before it is told: what changes from then on is seen.
      this.#directories.refresh();
      onChange(first);
    });
    this.#directories = new WatchedDirectories(
      directories,
      (path) => this.#debounce.add(path),
      (directory, error) => this.#warn(directory, error),
    );
    this.#directories.refresh();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#debounce.cancel();
    this.#directories.close();
  }

  #look(): void {
    const { isBehind } = this.#directories;
    const path = this.#directories.replacedTop() ?? (isBehind ? this.#directories.refresh() : undefined);
    if (path) this.#debounce.add(path);
  }

  /** Once for each reason: there may be as many directories. */
  #warn(directory: string, error: unknown): void {
    const code = codeOf(error);
    if (this.#warned.has(code)) return;
    this.#warned.add(code);
    console.error(`holdfast: warning: ${describeWatchFailure(directory, error)}`);
  }
}
