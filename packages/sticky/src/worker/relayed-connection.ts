/**
 * A client's connection that leads to another worker's session, after its upgrade was sent there: passes all bytes on, in both
 * directions.
 * Owns: the client's connection, and the stream to the owner. Runs in: workers.
 *
 * Either end of the stream may go on in another process: the owner's with its session, and this one with the connection.
 */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { reportFailure } from "../diagnostics.js";
import type { StreamToken } from "../wire/link-frame.js";
import { ownAnswer } from "./answer.js";
import type { LinkStream, TakenOutStream } from "./link-stream.js";
import type { LinkStreams } from "./link-streams.js";
import type { OwnerLink, Passenger } from "./owner-link.js";

/** The link to a worker that sessions may be at. */
export type LinkTo = (worker: number) => OwnerLink;

interface Joined {
  readonly name: string;
  readonly client: Duplex;
  readonly stream: LinkStream;
  readonly owner: number;
}

/** How long the owner may take to go on with a stream: less than whoever has moved the connection waits for that. */
const RESUME_MS = 5_000;
/** How long it may if its session has just come to it, perhaps after this worker's call: longer than that waits there. */
const SESSION_MS = 12_000;

const ignore = () => {};

export class RelayedConnection {
  /** Of the server that the client came to. */
  readonly name: string;
  readonly client: Duplex;
  readonly #linkTo: LinkTo;
  readonly #stream: LinkStream;
  /** The worker that has the session. */
  #owner: number;
  /** Whether the client has had an answer to its upgrade. */
  readonly #isAnswered: boolean;
  // joined → over; joined ⇄ apart (nothing is passed on here) → over
  #state: "joined" | "apart" | "over" = "joined";

  /** @param isAnswered whether the client had an answer to its upgrade before it came here */
  constructor({ name, client, stream, owner }: Joined, linkTo: LinkTo, isAnswered = false) {
    this.name = name;
    this.client = client;
    this.#stream = stream;
    this.#owner = owner;
    this.#linkTo = linkTo;
    this.#isAnswered = isAnswered;
    client.on("error", ignore);
    stream.on("moved", this.#onMoved);
    stream.once("end", this.#onOwnerEnded);
    stream.once("close", this.#onStreamClosed);
    client.prependOnceListener("close", this.#onClientClosed);
    this.#join();
  }

  /** The worker that has the session. */
  get owner(): number {
    return this.#owner;
  }

  get isOver(): boolean {
    return this.#state === "over";
  }

  /** This worker ends. The owner ends the session's connection, at a moment at which the client can come back elsewhere. */
  leave(): void {
    if (this.#state === "joined") this.#stream.leave();
  }

  /** The same, without what the client has not read: it may never do so. */
  cut(): void {
    this.client.destroy();
  }

  /** The stream goes on here. @returns whether the owner has it */
  resume(token: StreamToken): Promise<boolean> {
    return new Promise((resolve) => {
      this.#stream.once("resumed", () => resolve(true));
      this.#stream.once("close", () => resolve(false));
      this.#callFor(token, RESUME_MS);
    });
  }

  /** Has both ends be silent. @returns whether they are */
  hold(): Promise<boolean> {
    return this.#state === "joined" ? this.#stream.hold() : Promise.resolve(false);
  }

  release(): void {
    this.#stream.release();
  }

  /**
   * Takes out what is on its way to the owner, while both ends are silent. What is on its way to the client is given to its
   * connection. @returns undefined if one of them has ended meanwhile
   */
  takeOut(): Buffer | undefined {
    this.#part();
    const taken: TakenOutStream | undefined = this.client.destroyed ? undefined : this.#stream.takeOut();
    if (!taken) {
      this.#join();
      return undefined;
    }
    if (taken.unread.length > 0) this.client.write(taken.unread);
    return taken.unsent;
  }

  /** Another worker has the client's connection, and calls the owner. */
  moveAway(token: StreamToken): void {
    this.#state = "over";
    this.#stream.moveAway(token, this.#owner);
  }

  #join(): void {
    this.#state = "joined";
    this.client.pipe(this.#stream);
    this.#stream.pipe(this.client, { end: false });
  }

  #part(): void {
    this.#state = "apart";
    this.client.unpipe(this.#stream);
    this.#stream.unpipe(this.client);
  }

  /** The session has moved to another worker. */
  readonly #onMoved = (token: StreamToken, worker: number): void => {
    this.#owner = worker;
    this.#callFor(token, SESSION_MS);
  };

  /** @param ms after which the client has to come back */
  #callFor(token: StreamToken, ms: number): void {
    const timer = setTimeout(() => this.#stream.destroy(), ms).unref();
    const stop = () => {
      clearTimeout(timer);
      this.#stream.off("resumed", stop).off("close", stop);
    };
    this.#stream.once("resumed", stop).once("close", stop);
    const link = this.#linkTo(this.#owner);
    const passenger: Passenger = {
      waitingBytes: 0,
      onLink: (streams: LinkStreams) => {
        if (this.#stream.destroyed) streams.giveUp(token);
        else streams.resume(this.#stream, token);
      },
      onUnreachable: (why) => {
        reportFailure("relay", `a connection whose session has moved: the worker is ${why}`);
        if (!this.#stream.destroyed) this.#stream.onClosed("lost");
      },
    };
    link.board(passenger);
  }

  readonly #onClientClosed = (): void => {
    // What calls for the stream goes on: its owner would wait for that.
    this.#state = "over";
    this.#stream.destroy();
  };

  readonly #onStreamClosed = (): void => {
    // Otherwise another worker has it.
    if (this.#state === "joined") closeSoon(this.client);
  };

  readonly #onOwnerEnded = (): void => {
    if (this.#state !== "joined") return;
    const { ending, receivedBytes } = this.#stream;
    if (ending === "ended" || this.#isAnswered || receivedBytes > 0) return void this.client.end();
    reportFailure("relay", `an upgrade: ${ending}`);
    if (ending === "lost") this.#answer(502);
    else if (ending === "refused") this.#answer(400);
    else this.client.destroy();
  };

  #answer(status: 400 | 502): void {
    this.#state = "over";
    this.client.end(ownAnswer(status), () => this.client.destroy());
  }
}

/** Closes a connection when what was written to it has left. */
function closeSoon(client: Duplex): void {
  const { destroySoon } = client as Partial<Socket>;
  if (destroySoon) destroySoon.call(client);
  else client.destroy();
}
