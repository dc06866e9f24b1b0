/**
 * A hub's place: the path on which all members find it. At most one hub has it.
 * Owns: the socket file, from the moment when it has its name. Runs in: hub process.
 *
 * A hub listens under a temporary name first, and gives the socket its name when it takes connections. So what refuses
 * connections under that name is a dead hub's, never one that is just starting. The name is given by a link, which
 * fails if it is taken: that decides between hubs that start at once. A dead hub's file is replaced by a rename; if two
 * do that at the same time, the second one wins, and the first one sees by the file's number that it has lost.
 */
import { linkSync, renameSync, rmSync, type Stats } from "node:fs";
import { connect } from "node:net";
import { HoldfastError } from "../errors.js";
import { lookAt, lookAtSocket, refused, temporaryPath } from "./socket-path.js";

/** Somebody may remove the file, or take the place. */
const LOOK_MS = 1_000;
/** What a file system without hard links says. */
const NO_LINKS = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"];

export interface PlaceEvents {
  /** Another hub has the place now. */
  onLost(): void;
  /** The file is gone, as temporary directories are cleared now and then. */
  onRemoved(): void;
}

export class SocketPlace {
  readonly #path: string;
  readonly #temporary: string;
  readonly #events: PlaceEvents;
  /** How the file is known again; undefined while the place is not ours. */
  #own: Stats | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(path: string, events: PlaceEvents) {
    this.#path = path;
    this.#temporary = temporaryPath(path);
    this.#events = events;
  }

  /** Where to listen before {@link take}. What an earlier process of the same number has left there is removed. */
  prepare(): string {
    rmSync(this.#temporary, { force: true });
    return this.#temporary;
  }

  /**
   * Gives the socket that listens under the temporary name its own.
   * @throws {HoldfastError} `HOLDFAST_ERR_HUB_RUNNING` if another hub has the place
   * @throws {HoldfastError} `HOLDFAST_ERR_HUB_PATH`
   */
  async take(): Promise<void> {
    const own = lookAt(this.#temporary);
    try {
      for (;;) {
        const there = lookAtSocket(this.#path);
        if (there && (await isAlive(this.#path))) throw running(this.#path);
        if (there ? this.#replace(there) : this.#link()) break;
      }
    } finally {
      rmSync(this.#temporary, { force: true });
    }
    this.#own = own;
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** Takes the name away, so that nobody comes any more. */
  release(): void {
    clearInterval(this.#timer);
    if (this.#own && isSame(lookAt(this.#path), this.#own)) rmSync(this.#path, { force: true });
    this.#own = undefined;
  }

  /** @returns false if the name is taken */
  #link(): boolean {
    try {
      linkSync(this.#temporary, this.#path);
      return true;
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") return false;
      if (!NO_LINKS.includes(code)) throw refused(this.#path, error);
      renameSync(this.#temporary, this.#path);
      return true;
    }
  }

  /** @param dead the file that nobody answers on @returns false if another hub has replaced it meanwhile */
  #replace(dead: Stats): boolean {
    if (!isSame(lookAt(this.#path), dead)) return false;
    renameSync(this.#temporary, this.#path);
    return true;
  }

  #look(): void {
    if (!this.#own) return;
    const there = lookAt(this.#path);
    if (isSame(there, this.#own)) return;
    this.#own = undefined;
    if (there) this.#events.onLost();
    else this.#events.onRemoved();
  }
}

/** Whether somebody takes connections there. */
async function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      // So many want to connect that the system makes others wait.
      else if (error.code === "EAGAIN") resolve(true);
      else reject(refused(path, error));
    });
  });
}

function isSame(one: Stats | undefined, other: Stats | undefined): boolean {
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev;
}

function running(path: string): HoldfastError {
  return new HoldfastError(
    "HOLDFAST_ERR_HUB_RUNNING",
    `A hub is open at "${path}" already. Use that one, end it first, or choose another path.`,
  );
}
