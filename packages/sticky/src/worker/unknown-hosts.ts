/**
 * Requests whose session ids name a host of which this worker has not heard: it may have just come, and the news of it be
 * on their way.
 * Owns: what waits for the news, and its timers. Runs in: workers, one for all servers of the process.
 */

/** How long the news may take. */
const NEWS_MS = 500;
/** Anybody can write a session id: so many hosts are waited for at a time. */
const MAX_TAGS = 256;

interface Wait {
  readonly over: Promise<void>;
  end(): void;
}

export class UnknownHosts {
  readonly #waits = new Map<string, Wait>();

  /** Settles when the host with the tag is known, or nobody has told of it for a moment; `undefined` if too many wait. */
  untilKnown(tag: string): Promise<void> | undefined {
    const wait = this.#waits.get(tag);
    if (wait) return wait.over;
    return this.#waits.size < MAX_TAGS ? this.#wait(tag) : undefined;
  }

  /** Hosts with these tags are known now. */
  onKnown(tags: Iterable<string>): void {
    for (const tag of tags) this.#waits.get(tag)?.end();
  }

  close(): void {
    for (const wait of this.#waits.values()) wait.end();
  }

  #wait(tag: string): Promise<void> {
    let end = () => {};
    const over = new Promise<void>((resolve) => {
      const timer = setTimeout(() => end(), NEWS_MS).unref();
      end = () => {
        clearTimeout(timer);
        this.#waits.delete(tag);
        resolve();
      };
    });
    this.#waits.set(tag, { over, end });
    return over;
  }
}
