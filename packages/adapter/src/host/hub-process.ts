/**
 * A hub that is a process of its own, with its place, its handle and its end.
 * Owns: the handle with everything in it, the server, the place. Runs in: hub process.
 */
import { rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { reportFailure } from "../diagnostics.js";
import { HoldfastError } from "../errors.js";
import type { BackplaneFactory } from "../hub/backplane.js";
import type { ResolvedPrimaryOptions } from "../options.js";
import { startMarker } from "./application.js";
import { HubServer } from "./hub-server.js";
import { Primary } from "./primary.js";
import { checkLength, ensurePrivateDirectory, lookAt, refused } from "./socket-path.js";
import { SocketPlace } from "./socket-place.js";

const RETRY_MS = 1_000;
/** A directory that is taken away while a hub moves in is made again, so often. */
const ATTEMPTS = 3;

export interface HubProcessOptions extends ResolvedPrimaryOptions {
  readonly path: string;
  /** Whether the directory of the path is made, and removed when it is empty: it is the application's rendezvous. */
  readonly ownsDirectory: boolean;
  /** End when nobody has been a member for so long. Milliseconds; 0 for never. */
  readonly idleMs: number;
}

// opening → open → closed; opening → closed
type State = "opening" | "open" | "closed";

export class HubProcess {
  readonly handle: Primary;
  /** Settles when it is closed, by itself or by `close()`. */
  readonly closed: Promise<void>;
  readonly #options: HubProcessOptions;
  readonly #place: SocketPlace;
  #server: HubServer | undefined;
  #state: State = "opening";
  #idleTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #onClosed: () => void = () => {};

  private constructor(options: HubProcessOptions) {
    this.#options = options;
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
    this.#place = new SocketPlace(options.path, {
      onLost: () => void this.close(),
      onRemoved: () => void this.#restore(),
    });
    this.handle = new Primary(options, (hub) => {
      this.#server = new HubServer(hub, {
        onQuiet: () => this.#onQuiet(),
        onForeign: () => this.#onForeign(),
      });
      return this.#server;
    });
  }

  /**
   * Opens a hub and settles when members can join.
   * @throws {HoldfastError} `HOLDFAST_ERR_HUB_RUNNING`, `HOLDFAST_ERR_HUB_PATH`
   */
  static async open(options: HubProcessOptions): Promise<HubProcess> {
    checkLength(options.path);
    // Whoever finds it expects an answer at once.
    await (options.backplane as BackplaneFactory | undefined)?.load();
    const hub = new HubProcess(options);
    try {
      await hub.#moveIn();
      hub.#state = "open";
      hub.#onQuiet();
      return hub;
    } catch (error) {
      await hub.close();
      throw error;
    }
  }

  /** Gives up the place, says goodbye to the members, and releases all links. Calling it again changes nothing. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#retryTimer);
    this.#place.release();
    this.#server?.close();
    await this.handle.close();
    if (this.#options.ownsDirectory) this.#leaveDirectory();
    this.#onClosed();
  }

  /** Others may have files in it. */
  #leaveDirectory(): void {
    const { path } = this.#options;
    try {
      // Whoever put it there may have been killed.
      rmSync(startMarker(path), { force: true });
      rmdirSync(dirname(path));
    } catch (error) {
      reportFailure(`the directory of ${path} stays`, { error: error as Error });
    }
  }

  async #moveIn(): Promise<void> {
    const { path, ownsDirectory } = this.#options;
    for (let attempt = 1; ; attempt++) {
      if (ownsDirectory) ensurePrivateDirectory(dirname(path));
      try {
        await this.#server?.listen(this.#place.prepare());
        return await this.#place.take();
      } catch (error) {
        // Node.js says that a directory is closed (EACCES) when it is missing.
        const isMissing = lookAt(dirname(path)) === undefined;
        if (isMissing && ownsDirectory && attempt < ATTEMPTS) continue;
        if (error instanceof HoldfastError) throw error;
        throw refused(path, isMissing ? Object.assign(new Error("missing"), { code: "ENOENT" }) : error);
      }
    }
  }

  /** Members that have joined stay; those who come later must find it again. */
  async #restore(): Promise<void> {
    reportFailure(`${this.#options.path} is gone`);
    try {
      await this.#moveIn();
    } catch (error) {
      const { code, message } = error as HoldfastError;
      reportFailure(message);
      if (code === "HOLDFAST_ERR_HUB_RUNNING") return this.close();
      if (this.#state !== "open") return;
      this.#retryTimer = setTimeout(() => void this.#restore(), RETRY_MS).unref();
    }
  }

  get #hasMembers(): boolean {
    return this.handle.stats().members.length > 0;
  }

  get #isIdle(): boolean {
    return this.#server?.isBusy === false && !this.#hasMembers;
  }

  #onQuiet(): void {
    const { idleMs } = this.#options;
    if (idleMs === 0 || this.#state !== "open" || !this.#isIdle) return;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => this.#isIdle && void this.close(), idleMs);
  }

  /** Whoever is refused needs a hub of its own version as soon as nobody needs this one. */
  #onForeign(): void {
    const isNeeded = this.#server?.isAwaited || this.#hasMembers;
    if (this.#options.idleMs > 0 && !isNeeded) setImmediate(() => this.close());
  }
}
