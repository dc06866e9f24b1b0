/**
 * A worker's place in the private directory: its own socket, and the ways to the others'.
 * Owns: the socket, and the look at it from time to time. Runs in: workers.
 *
 * Temporary directories are cleaned. A worker that misses its socket opens it anew, and makes the directory anew if it
 * must; so all are back after a moment, whoever of them notices first. It knows nothing of a primary or router.
 */
import cluster from "node:cluster";
import { lstatSync } from "node:fs";
import type { Socket } from "node:net";
import {
  type DirectoryState,
  inspectDirectory,
  removePrivateDirectory,
  removeSocket,
  restoreDirectory,
  socketPath,
} from "../rendezvous/private-directory.js";
import type { ClusterSecrets } from "../wire/cluster-secrets.js";
import type { Trouble, TroubleKind } from "../wire/messages.js";
import { PrivateSocket } from "./private-socket.js";

/** How often a worker looks whether its socket is still there. */
const LOOK_MS = 1_000;
/** How long after a removal others may still have to open their sockets again. */
const DISTURBED_MS = 5_000;
/** How long a process that has closed its channels may take to be gone. */
const ENDING_MS = 250;
/** Nobody wakes who waits on it. */
const SLEEP = new Int32Array(new SharedArrayBuffer(4));
/** What lasts is told again after this time. */
const REPEAT_MS = 60_000;

export interface RendezvousHost {
  /** Another worker has connected. */
  accept(socket: Socket): void;
  /** Something is wrong that this worker cannot mend, or that its user should hear of. */
  tell(trouble: Trouble): void;
  /** The process whose end makes the directory stale; `undefined` if it has ended. */
  ownerPid(): number | undefined;
}

export class Rendezvous {
  readonly directory: string;
  #edition: number;
  readonly #workerId: number;
  readonly #host: RendezvousHost;
  /** Whose directory it was at the beginning: root accepts whoever the primary has made it over to. */
  #uid: number | undefined;
  #socket: PrivateSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #disturbedAt = Number.NEGATIVE_INFINITY;
  readonly #toldAt = new Map<string, number>();
  // outside → inside → outside
  #state: "outside" | "inside" = "outside";

  /** @param isMoved the workers have had another directory: not all of them are in this one yet */
  constructor(
    { directory, edition }: Pick<ClusterSecrets, "directory" | "edition">,
    workerId: number,
    host: RendezvousHost,
    isMoved = false,
  ) {
    this.directory = directory;
    this.#edition = edition;
    this.#workerId = workerId;
    this.#host = host;
    if (isMoved) this.#disturbedAt = performance.now();
    this.#readUser();
  }

  /** Something was mended, and the directory, as it is now, is the right one. */
  confirm(edition: number): void {
    this.#edition = edition;
    this.#toldAt.clear();
    this.#disturbedAt = performance.now();
    this.#readUser();
    this.look();
  }

  /** Opens this worker's socket, and keeps it open. */
  enter(): void {
    if (this.#state === "inside") return;
    this.#state = "inside";
    process.prependOnceListener("exit", this.#onExit);
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
    this.#open();
  }

  /** Closes it. Connections stay. */
  leave(): void {
    if (this.#state === "outside") return;
    this.#state = "outside";
    process.off("exit", this.#onExit);
    clearInterval(this.#timer);
    this.#close();
  }

  /** The workers have another directory: what one of them has restored here meanwhile is nobody's. */
  abandon(): void {
    this.leave();
    if (this.#inspect() === "ours") removePrivateDirectory(this.directory);
  }

  /**
   * Where another worker listens.
   * @throws {Error} with a `code` if the directory is not safe to use
   */
  pathOf(workerId: number): string {
    const state = this.#inspect();
    if (state === "foreign" || state === "denied") throw accessError(this.directory, state);
    return socketPath(this.directory, workerId);
  }

  /** Whether sockets were removed lately, so that one that is missing may be that of a living worker. */
  isDisturbed(): boolean {
    this.look();
    return performance.now() - this.#disturbedAt < DISTURBED_MS;
  }

  /** Looks whether this worker's socket is still there, and opens it again if not. */
  look(): void {
    if (this.#state === "outside") return;
    if (this.#socket?.isOpen()) {
      const found = this.#socket.look();
      // Who may not look cannot know.
      if (found === "denied") this.#tell("denied", accessError(this.directory, "denied"));
      if (found !== "missing") return;
      this.#disturbedAt = performance.now();
      this.#tell("removed", undefined, this.#socket.path);
    }
    // Closing removes the file of that name: it must not come after the opening.
    this.#close();
    this.#open();
  }

  #readUser(): void {
    try {
      this.#uid = lstatSync(this.directory).uid;
    } catch {
      // Whoever looks at it next says what is wrong.
    }
  }

  #open(): void {
    const state = this.#inspect();
    const ownerPid = this.#host.ownerPid();
    if (state === "foreign" || state === "denied") {
      this.#tell("denied", accessError(this.directory, state));
      return;
    }
    if (state === "missing" && (ownerPid === undefined || !this.#restore(ownerPid))) return;
    const path = socketPath(this.directory, this.#workerId);
    // A worker of that id that was killed has left it.
    removeSocket(path);
    const socket: PrivateSocket = new PrivateSocket(path, {
      accept: (connection) => this.#host.accept(connection),
      onError: (error) => this.#onError(socket, error),
    });
    this.#socket = socket;
  }

  #restore(ownerPid: number): boolean {
    this.#disturbedAt = performance.now();
    const state = restoreDirectory(this.directory, ownerPid);
    if (state === "ours") return true;
    this.#tell("failed", Object.assign(accessError(this.directory, state), { code: "ENOTDIR" }));
    return false;
  }

  #inspect(): DirectoryState {
    const own = process.geteuid?.();
    return inspectDirectory(this.directory, own === 0 ? this.#uid : own);
  }

  #onError(socket: PrivateSocket, error: NodeJS.ErrnoException): void {
    if (!socket.isOpen()) this.#close();
    this.#tell(error.code === "EACCES" ? "denied" : "failed", error);
  }

  #close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** Tells of what is wrong, once as long as it lasts. */
  #tell(what: TroubleKind, error: NodeJS.ErrnoException | undefined, text = error?.message ?? ""): void {
    const code = error?.code ?? "";
    const key = `${what} ${code}`;
    const now = performance.now();
    if (now - (this.#toldAt.get(key) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
    this.#toldAt.set(key, now);
    this.#host.tell({ what, edition: this.#edition, uid: process.geteuid?.() ?? -1, code, text });
  }

  /** Another worker's socket fails. */
  onTrouble(error: NodeJS.ErrnoException): void {
    this.#tell(error.code === "EACCES" || error.code === "EPERM" ? "denied" : "failed", error);
  }

  /** An owner that was killed could not remove the directory: its workers do. */
  readonly #onExit = (): void => {
    if (process.platform === "win32") return;
    removeSocket(socketPath(this.directory, this.#workerId));
    if (this.#isOwnerGone()) removePrivateDirectory(this.directory);
  };

  /** A process that is killed closes its channels a moment before its children have another parent. */
  #isOwnerGone(): boolean {
    const mayBeEnding = !process.connected && !cluster.worker?.exitedAfterDisconnect;
    const deadline = performance.now() + (mayBeEnding ? ENDING_MS : 0);
    while (this.#host.ownerPid() !== undefined) {
      if (performance.now() >= deadline) return false;
      Atomics.wait(SLEEP, 0, 0, 1);
    }
    return true;
  }
}

function accessError(directory: string, state: DirectoryState): NodeJS.ErrnoException {
  const texts = {
    ours: "is ours",
    missing: "cannot be made",
    foreign: "belongs to another user, or is open to others",
    denied: "may not be entered",
  };
  const text = `the private directory ${directory} ${texts[state]}`;
  return Object.assign(new Error(text), { code: state === "missing" ? "ENOENT" : "EACCES" });
}
