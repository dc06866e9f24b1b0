/**
 * One word for many events: once they have paused, or the first of them is a while ago.
 * Owns: two timers. Runs in: the command line.
 */
export class Debounce<T> {
  readonly #quietMs: number;
  readonly #mostMs: number;
  readonly #tell: (first: T) => void;
  #quiet: NodeJS.Timeout | undefined;
  /** Not put off by what comes behind the first: what never pauses would never be told. */
  #most: NodeJS.Timeout | undefined;
  #first: { readonly value: T } | undefined;

  /**
   * @param quietMs how long nothing must have come
   * @param mostMs how long the first one waits at most
   * @param tell is given the first one: often the cause of the others
   */
  constructor(quietMs: number, mostMs: number, tell: (first: T) => void) {
    this.#quietMs = quietMs;
    this.#mostMs = mostMs;
    this.#tell = tell;
  }

  add(value: T): void {
    this.#first ??= { value };
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#end(), this.#quietMs);
    this.#most ??= setTimeout(() => this.#end(), this.#mostMs);
  }

  /** What has been added is not told. */
  cancel(): void {
    clearTimeout(this.#quiet);
    clearTimeout(this.#most);
    this.#most = undefined;
    this.#first = undefined;
  }

  #end(): void {
    const first = this.#first;
    this.cancel();
    if (first) this.#tell(first.value);
  }
}
