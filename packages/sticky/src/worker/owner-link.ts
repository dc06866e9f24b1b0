/**
 * The link of this worker to one owner.
 * Owns: the connection to the owner, and the requests that wait for it. Runs in: workers.
 *
 * One link carries all requests to an owner, however many there are, so clients cannot use up descriptors. What
 * cannot be sent yet waits, bounded in number and bytes, for as long as its client does. Sockets are removed, and opened
 * anew: an owner whose socket is absent is only gone if the primary says so, or, without one, if no sockets have been
 * removed lately. On another host, only that host may say so. Everything else may pass.
 */
import { connect, type Socket } from "node:net";
import { reportFailure } from "../diagnostics.js";
import { HostCallError } from "../hosts/host-call.js";
import { decodeMove, encodeHello, FrameType, type StreamToken } from "../wire/link-frame.js";
import { turnedAway, whatItMeans } from "./link-failure.js";
import { LinkStreams } from "./link-streams.js";

/** How many streams to one owner are open at a time. */
const MAX_STREAMS = 16_384;
/** How many requests to one owner wait at a time, and how much memory they may keep meanwhile. */
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 33_554_432;
const FIRST_RETRY_MS = 10;
const MAX_RETRY_MS = 500;
/** How long what looks like a fault of the set-up may last until requests are refused for it. */
const PATIENCE_MS = 5_000;

/** A request that needs a stream to its owner. */
export interface Passenger {
  /** How much memory it keeps while it waits. */
  readonly waitingBytes: number;
  /** The link stands and has room: the stream is to be opened at once. */
  onLink(link: LinkStreams): void;
  /** Nothing was sent. `gone`: the owner lives no more. `busy`: it cannot be reached now. */
  onUnreachable(why: "gone" | "busy"): void;
}

/** The way to an owner. */
export type Door = PrivateDoor | HostDoor;

/** Where an owner's private socket is, and what opens it. */
export interface PrivateDoor {
  readonly number: number;
  readonly path: string;
  readonly secret: string;
}

/** An owner on another host, which lets nobody in who has not proven who he is. */
export interface HostDoor {
  /**
   * Gives a paused connection on which the owner speaks first, or why there is none.
   * @returns the function that stops it
   */
  open(done: (result: Socket | HostCallError) => void): () => void;
}

export interface OwnerLinkHost {
  /**
   * `undefined` while this worker has not met the cluster.
   * @throws {Error} with a `code` if the way to it is not safe
   */
  door(): Door | undefined;
  /** Whether the owner lives, or may live, although its socket is absent: then it is back soon. Never rejects. */
  mayLive(): Promise<boolean>;
  /** The owner's end of a stream that is closed here has moved to another worker, which waits for this end. */
  onMissed(token: StreamToken, worker: number): void;
  /** The owner's socket fails in a way that somebody has to mend. */
  onTrouble(error: Error): void;
  /** Nothing waits and there is no connection: the link can be forgotten. */
  onOver(): void;
}

export class OwnerLink {
  readonly #host: OwnerLinkHost;
  /** In the order of their arrival. */
  readonly #waiting = new Set<Passenger>();
  #waitingBytes = 0;
  // idle → connecting → open → idle; connecting → pausing → connecting; connecting → asking → pausing;
  // connecting, pausing, asking → idle; any → closed
  #state: "idle" | "connecting" | "pausing" | "asking" | "open" | "closed" = "idle";
  #streams: LinkStreams | undefined;
  /** What is finished on connections that the owner wants no more. */
  readonly #former = new Set<LinkStreams>();
  /** Stops the call of the owner's host. */
  #hangUp: (() => void) | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  /** The socket was absent when it was looked for last. */
  #isAbsent = false;
  /** When the fault that is now was first seen; on the clock of `performance.now()`. */
  #troubledSince: number | undefined;

  constructor(host: OwnerLinkHost) {
    this.#host = host;
  }

  board(passenger: Passenger): void {
    if (this.#state === "closed") return passenger.onUnreachable("gone");
    if (this.#waiting.size === 0 && this.#streams && this.#hasRoom(this.#streams)) {
      return passenger.onLink(this.#streams);
    }
    const bytes = this.#waitingBytes + passenger.waitingBytes;
    if (this.#waiting.size >= MAX_WAITING || bytes > MAX_WAITING_BYTES) {
      return passenger.onUnreachable("busy");
    }
    this.#waiting.add(passenger);
    this.#waitingBytes = bytes;
    if (this.#state === "idle") this.#connect();
  }

  /** The passenger's client has gone. */
  leave(passenger: Passenger): void {
    if (!this.#waiting.delete(passenger)) return;
    this.#waitingBytes -= passenger.waitingBytes;
    const isUnderway = this.#state === "pausing" || this.#state === "asking";
    if (this.#waiting.size === 0 && isUnderway) this.#becomeIdle();
  }

  /**
   * Lets what is on its way be finished; takes nothing more.
   * @param cutAfterMs for how long; without it, as long as it takes
   */
  close(cutAfterMs?: number): void {
    if (this.#state === "closed") return;
    clearTimeout(this.#retry);
    this.#hangUp?.();
    const streams = this.#streams;
    this.#state = "closed";
    this.#turnAway("gone");
    streams?.drain();
    if (cutAfterMs === undefined) return;
    const cut = () => {
      for (const each of [streams, ...this.#former]) each?.destroy();
    };
    setTimeout(cut, cutAfterMs).unref();
  }

  #hasRoom(streams: LinkStreams): boolean {
    return this.#state === "open" && streams.size < MAX_STREAMS && !streams.isFull();
  }

  #connect(): void {
    this.#state = "connecting";
    let door: Door | undefined;
    try {
      door = this.#host.door();
    } catch (error) {
      this.#onClose(error as Error);
      return;
    }
    if (!door) {
      this.#turnAway("gone");
      this.#becomeIdle();
      return;
    }
    if ("open" in door) {
      this.#hangUp = door.open((result) => {
        this.#hangUp = undefined;
        if (result instanceof HostCallError) return this.#onClose(result);
        this.#carry(result);
        result.resume();
      });
      return;
    }
    this.#carry(connect({ path: door.path })).send(encodeHello(door.secret, door.number));
  }

  #carry(socket: Socket): LinkStreams {
    const streams: LinkStreams = new LinkStreams(socket, {
      onControl: (type, _stream, payload) => {
        if (type === FrameType.goAway) return this.#onGoAway(streams);
        return type === FrameType.move ? this.#onMissed(payload) : this.#onControl(type);
      },
      onRoom: () => this.#admit(),
      onClose: (error) => this.#former.delete(streams) || this.#onClose(error),
    });
    this.#streams = streams;
    return streams;
  }

  #onMissed(payload: Buffer): boolean {
    const move = decodeMove(payload);
    if (move) this.#host.onMissed(move.token, move.worker);
    return move !== undefined;
  }

  #onControl(type: FrameType): boolean {
    if (type !== FrameType.welcome || this.#state === "open") return false;
    if (this.#state === "closed") return true;
    this.#state = "open";
    this.#recover();
    this.#admit();
    return true;
  }

  /** Somebody else has the owner's sessions: whoever waits, and whoever comes, asks anew where. */
  #onGoAway(streams: LinkStreams): boolean {
    if (this.#state === "closed") return true;
    if (this.#state !== "open" || this.#streams !== streams) return this.#former.has(streams);
    this.#former.add(streams);
    this.#streams = undefined;
    streams.drain();
    if (this.#waiting.size === 0) this.#becomeIdle();
    else this.#connect();
    return true;
  }

  #admit(): void {
    const streams = this.#streams;
    if (!streams) return;
    for (const passenger of this.#waiting) {
      if (!this.#hasRoom(streams)) return;
      this.leave(passenger);
      passenger.onLink(streams);
    }
  }

  #onClose(error: Error | undefined): void {
    const hadOpened = this.#state === "open";
    this.#streams = undefined;
    if (this.#state === "closed") {
      this.#host.onOver();
      return;
    }
    reportFailure("relay", "a link to an owner has closed", error && { error });
    if (error && whatItMeans(error) === "trouble") this.#host.onTrouble(error);
    if (this.#waiting.size === 0) this.#becomeIdle();
    else if (hadOpened) this.#connect();
    else this.#onConnectFailed(error);
  }

  #onConnectFailed(error: Error | undefined): void {
    const failure = whatItMeans(error);
    const wasAbsent = this.#isAbsent;
    this.#isAbsent = failure === "absent";
    if (failure === "gone") return this.#giveUp("gone");
    if (failure === "absent" && wasAbsent) return void this.#askWhetherGone();
    if (failure === "absent" || failure === "shortage" || !this.#isOutOfPatience()) return this.#pause();
    if (failure === "turned-away" && !(error instanceof HostCallError))
      this.#host.onTrouble(turnedAway(error));
    this.#giveUp("busy");
  }

  async #askWhetherGone(): Promise<void> {
    this.#state = "asking";
    this.#troubledSince ??= performance.now();
    const mayLive = await this.#host.mayLive();
    if (this.#state !== "asking") return;
    if (!mayLive) this.#giveUp("gone");
    else if (this.#isOutOfPatience()) this.#giveUp("busy");
    else this.#pause();
  }

  #pause(): void {
    this.#state = "pausing";
    this.#retry = setTimeout(() => this.#connect(), this.#retryMs).unref();
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
  }

  #giveUp(why: "gone" | "busy"): void {
    this.#turnAway(why);
    this.#becomeIdle();
  }

  /** A shortage passes; for what may not, clients do not wait for ever. */
  #isOutOfPatience(): boolean {
    this.#troubledSince ??= performance.now();
    return performance.now() - this.#troubledSince > PATIENCE_MS;
  }

  #turnAway(why: "gone" | "busy"): void {
    const turnedAway = [...this.#waiting];
    this.#waiting.clear();
    this.#waitingBytes = 0;
    for (const passenger of turnedAway) passenger.onUnreachable(why);
  }

  #becomeIdle(): void {
    clearTimeout(this.#retry);
    this.#state = "idle";
    this.#recover();
    this.#host.onOver();
  }

  #recover(): void {
    this.#retryMs = FIRST_RETRY_MS;
    this.#isAbsent = false;
    this.#troubledSince = undefined;
  }
}
