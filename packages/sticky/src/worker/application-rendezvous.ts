/**
 * A worker's place in the private directory of its application, where no router keeps one: its own socket, whose name is
 * its number, and the ways to the others'.
 * Owns: the socket and the number, and the look at the socket from time to time. Runs in: workers.
 *
 * A number is drawn, and claimed by opening the socket of that name, which only one process can. It stays this worker's
 * until its end, whatever happens to the directory.
 */
import { randomInt } from "node:crypto";
import type { Socket } from "node:net";
import { HoldfastError } from "../errors.js";
import {
  directoriesOf,
  findSocket,
  provideDirectory,
  removeIfEmpty,
  removeTheDead,
} from "../rendezvous/application-directory.js";
import {
  inspectDirectory,
  longestPlaceFor,
  removeSocket,
  socketPath,
} from "../rendezvous/private-directory.js";
import { MAX_WORKER_ID } from "../wire/owner-mark.js";
import { PrivateSocket } from "./private-socket.js";

/** How often a worker looks whether its socket is still there. */
const LOOK_MS = 1_000;
/** How long after a removal others may still have to open their sockets again. */
const DISTURBED_MS = 5_000;
/** What lasts is told again after this time. */
const REPEAT_MS = 60_000;
/** When it looks for what killed workers have left: after the start of several at a time. */
const TIDY_MS = 2_000;
/** How often another process may come between in one directory. */
const TRIES = 10;

export interface ApplicationRendezvousHost {
  /** Another worker has connected. */
  accept(socket: Socket): void;
  /** Something is wrong that somebody has to mend. */
  warn(error: HoldfastError): void;
}

export class ApplicationRendezvous {
  readonly #name: string;
  readonly #directories: readonly string[];
  readonly #host: ApplicationRendezvousHost;
  #number: number | undefined;
  #socket: PrivateSocket | undefined;
  #opening: Promise<void> | undefined;
  #look: NodeJS.Timeout | undefined;
  #tidy: NodeJS.Timeout | undefined;
  #disturbedAt = Number.NEGATIVE_INFINITY;
  readonly #saidAt = new Map<string, number>();
  // outside ⇄ inside
  #state: "outside" | "inside" = "outside";

  /** @param name of the application's directory */
  constructor(name: string, host: ApplicationRendezvousHost) {
    this.#name = name;
    this.#directories = directoriesOf(name);
    this.#host = host;
  }

  /** By which others find this worker; `undefined` as long as it has found no place. */
  get number(): number | undefined {
    return this.#number;
  }

  /** Claims a number and opens this worker's socket. Settles when that is done, or has failed for the time being. */
  async enter(): Promise<void> {
    if (this.#state === "inside") return this.#opening;
    this.#state = "inside";
    process.prependOnceListener("exit", this.#onExit);
    this.#look = setInterval(() => this.look(), LOOK_MS).unref();
    this.#tidy = setTimeout(() => void removeTheDead(this.#directories), TIDY_MS).unref();
    await this.#reopen();
  }

  /** Closes the socket. Connections stay, and the number. */
  leave(): void {
    if (this.#state === "outside") return;
    this.#state = "outside";
    process.off("exit", this.#onExit);
    clearInterval(this.#look);
    clearTimeout(this.#tidy);
    this.#socket?.close();
    this.#socket = undefined;
    this.#removeEmpty();
  }

  /** Where another worker listens. */
  pathOf(number: number): string {
    return findSocket(this.#directories, number);
  }

  /** Whether sockets were removed lately, so that one that is missing may be that of a living worker. */
  isDisturbed(): boolean {
    this.look();
    return performance.now() - this.#disturbedAt < DISTURBED_MS;
  }

  /** Looks whether this worker's socket is still there, and opens it again if not. */
  look(): void {
    if (this.#state === "outside" || this.#opening) return;
    if (this.#socket) {
      if (this.#socket.look() !== "missing") return;
      this.#disturbedAt = performance.now();
      this.#say(
        "HOLDFAST_ERR_PRIVATE_DIRECTORY",
        `The private socket ${this.#socket.path} was removed. It was made anew. Let whatever cleans that place spare ` +
          'names that start with "holdfast-", or set TMPDIR to another place.',
      );
    }
    void this.#reopen();
  }

  /** Another worker's socket fails. */
  onTrouble(error: Error): void {
    this.#say(
      "HOLDFAST_ERR_PRIVATE_SOCKET",
      `A private socket fails: ${error.message}. Until that is mended, requests that reach another worker than the one ` +
        "of their session cannot be relayed.",
    );
  }

  #reopen(): Promise<void> {
    // Closing removes the file of that name: it must not come after the opening.
    this.#socket?.close();
    this.#socket = undefined;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #open(): Promise<void> {
    const failures: string[] = [];
    for (const directory of this.#directories) {
      const socket = await this.#openIn(directory).catch((error: Error) => void failures.push(error.message));
      if (!socket) continue;
      this.#socket = socket;
      // Left meanwhile.
      if (this.#state === "outside") socket.close();
      return;
    }
    this.#say(
      "HOLDFAST_ERR_PRIVATE_DIRECTORY",
      `There is no place for this worker's private socket: ${failures.join(", ")}. Until there is one, requests of its ` +
        "sessions that reach other workers fail. Set TMPDIR to a directory that exists, that this user can write to, " +
        `and whose path has at most ${longestPlaceFor(this.#name)} bytes.`,
    );
  }

  async #openIn(directory: string): Promise<PrivateSocket> {
    for (let left = TRIES; ; left--) {
      const number = this.#number ?? randomInt(MAX_WORKER_ID + 1);
      const path = socketPath(directory, number);
      provideDirectory(directory);
      try {
        const socket = await PrivateSocket.open(path, {
          accept: (connection) => this.#host.accept(connection),
          onError: (error) => this.onTrouble(error),
        });
        this.#number = number;
        return socket;
      } catch (error) {
        const isTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
        // Another worker has that number, or was the last one, and has removed the directory.
        if (left === 0 || !(isTaken || inspectDirectory(directory) === "missing")) throw error;
        if (isTaken && number === this.#number) removeSocket(path);
      }
    }
  }

  #removeEmpty(): void {
    for (const directory of this.#directories) removeIfEmpty(directory);
  }

  /** Tells of what is wrong, once as long as it lasts. */
  #say(code: HoldfastError["code"], text: string): void {
    const now = performance.now();
    if (now - (this.#saidAt.get(code) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
    this.#saidAt.set(code, now);
    this.#host.warn(new HoldfastError(code, text));
  }

  readonly #onExit = (): void => {
    if (this.#socket) removeSocket(this.#socket.path);
    this.#removeEmpty();
  };
}
