/**
 * An upgrade on its way to its owner, and all that its connection carries from then on.
 * Owns: the client's connection, until it closes or this worker answers. Runs in: workers.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { type Duplex, PassThrough } from "node:stream";
import { reportFailure } from "../diagnostics.js";
import { encodeOrigin } from "../wire/origin.js";
import { ownAnswer } from "./answer.js";
import { originOf } from "./client-origin.js";
import { writeHead } from "./header-fields.js";
import type { LinkStream } from "./link-stream.js";
import type { LinkStreams } from "./link-streams.js";
import type { OwnerLink, Passenger } from "./owner-link.js";

const ignore = () => {};

export class RelayedUpgrade implements Passenger {
  readonly name: string;
  readonly #link: OwnerLink;
  readonly #request: IncomingMessage;
  readonly #client: Duplex;
  readonly #head: Buffer;
  readonly #onRelayed: () => void;
  readonly #here: () => void;
  /** Takes what the client sends while it waits; without a reader, its end would not be seen. */
  #early: PassThrough | undefined;
  #stream: LinkStream | undefined;
  // waiting → joined → over; waiting → over
  #state: "waiting" | "joined" | "over" = "waiting";
  readonly waitingBytes: number;

  constructor(
    link: OwnerLink,
    name: string,
    request: IncomingMessage,
    client: Duplex,
    head: Buffer,
    onRelayed: () => void,
    here: () => void,
  ) {
    this.#link = link;
    this.name = name;
    this.#request = request;
    this.#client = client;
    this.#onRelayed = onRelayed;
    this.#here = here;
    const text = writeHead(request);
    this.#head = text === undefined ? Buffer.alloc(0) : Buffer.concat([Buffer.from(text, "latin1"), head]);
    this.waitingBytes = this.#head.length;
    client.on("error", ignore);
  }

  start(): void {
    const client = this.#client;
    if (this.#head.length === 0) return this.#answer(400);
    client.once("close", this.#onClientGone);
    this.#link.board(this);
    if (this.#state !== "waiting") return;
    this.#early = new PassThrough();
    client.once("end", this.#onClientGone);
    client.pipe(this.#early);
  }

  onLink(streams: LinkStreams): void {
    const stream = streams.open(encodeOrigin(originOf(this.name, this.#request.socket)));
    this.#onRelayed();
    this.#state = "joined";
    stream.write(this.#head);
    const early = this.#takeEarly();
    if (early) stream.write(early);
    this.#join(stream);
  }

  /** The owner has its bytes, and it is not over. */
  get isJoined(): boolean {
    return this.#state === "joined";
  }

  /**
   * This worker ends. The owner ends what is carried, at a moment at which the client can come back by another worker; what
   * has not got there is refused, and the client goes on as it is.
   */
  leave(): void {
    if (this.#state === "joined") this.#stream?.leave();
    else if (this.#state === "waiting") {
      this.#link.leave(this);
      this.onUnreachable("busy");
    }
  }

  /** The same, without what the client has not read: it may never do so. */
  cut(): void {
    if (this.#state === "joined") this.#client.destroy();
  }

  onUnreachable(why: "gone" | "busy"): void {
    const client = this.#client;
    const early = this.#takeEarly();
    client.off("close", this.#onClientGone);
    this.#state = "over";
    if (why === "busy") return this.#answer(503);
    if (early) client.unshift(early);
    client.off("error", ignore);
    this.#here();
  }

  /** Passes bytes and ends of the two connections to each other. */
  #join(stream: LinkStream): void {
    const client = this.#client;
    this.#stream = stream;
    client.off("close", this.#onClientGone);
    client.once("close", () => {
      this.#state = "over";
      stream.destroy();
    });
    stream.once("end", () => this.#onOwnerEnded(stream));
    stream.once("close", () => closeSoon(client));
    client.pipe(stream);
    stream.pipe(client, { end: false });
  }

  #onOwnerEnded(stream: LinkStream): void {
    if (this.#state === "over") return;
    const wasHeard = stream.receivedBytes > 0;
    if (stream.ending === "ended" || wasHeard) this.#client.end();
    else {
      reportFailure("relay", `an upgrade: ${stream.ending}`);
      if (stream.ending === "lost") this.#answer(502);
      else if (stream.ending === "refused") this.#answer(400);
      else this.#client.destroy();
    }
  }

  #takeEarly(): Buffer | undefined {
    const early = this.#early;
    if (!early) return undefined;
    this.#early = undefined;
    this.#client.off("end", this.#onClientGone);
    this.#client.unpipe(early);
    return (early.read() as Buffer | null) ?? undefined;
  }

  #answer(status: 400 | 502 | 503): void {
    this.#state = "over";
    this.#client.end(ownAnswer(status), () => this.#client.destroy());
  }

  readonly #onClientGone = (): void => {
    this.#state = "over";
    this.#link.leave(this);
    this.#client.destroy();
  };
}

/** Closes a connection when what was written to it has left. */
function closeSoon(client: Duplex): void {
  const { destroySoon } = client as Partial<Socket>;
  if (destroySoon) destroySoon.call(client);
  else client.destroy();
}
