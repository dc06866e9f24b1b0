/**
 * An upgrade on its way to its owner.
 * Owns: the client's connection, until the owner has its bytes or this worker answers. Runs in: workers.
 */
import type { IncomingMessage } from "node:http";
import { type Duplex, PassThrough } from "node:stream";
import { encodeOrigin } from "../wire/origin.js";
import { ownAnswer } from "./answer.js";
import { originOf } from "./client-origin.js";
import { upgradeFields, writeHead } from "./header-fields.js";
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
  readonly #onJoined: (stream: LinkStream) => void;
  readonly #here: () => void;
  /** Takes what the client sends while it waits; without a reader, its end would not be seen. */
  #early: PassThrough | undefined;
  // waiting → over
  #state: "waiting" | "over" = "waiting";
  readonly waitingBytes: number;

  /** @param onJoined called when the owner has its bytes: the client's connection is the caller's then */
  constructor(
    link: OwnerLink,
    name: string,
    request: IncomingMessage,
    client: Duplex,
    head: Buffer,
    onJoined: (stream: LinkStream) => void,
    here: () => void,
  ) {
    this.#link = link;
    this.name = name;
    this.#request = request;
    this.#client = client;
    this.#onJoined = onJoined;
    this.#here = here;
    const text = writeHead(request, upgradeFields(request));
    this.#head = text === undefined ? Buffer.alloc(0) : Buffer.concat([Buffer.from(text, "latin1"), head]);
    this.waitingBytes = this.#head.length;
    client.on("error", ignore);
  }

  start(): void {
    const client = this.#client;
    if (this.#head.length === 0) return this.#answer(400);
    client.prependOnceListener("close", this.#onClientGone);
    this.#link.board(this);
    if (this.#state !== "waiting") return;
    this.#early = new PassThrough();
    client.prependOnceListener("end", this.#onClientGone);
    client.pipe(this.#early);
  }

  onLink(streams: LinkStreams): void {
    const stream = streams.open(encodeOrigin(originOf(this.name, this.#request.socket)));
    this.#state = "over";
    stream.write(this.#head);
    const early = this.#takeEarly();
    if (early) stream.write(early);
    this.#client.off("close", this.#onClientGone).off("error", ignore);
    this.#onJoined(stream);
  }

  /** This worker ends. What has not got to the owner is refused, and the client goes on as it is. */
  leave(): void {
    if (this.#state === "over") return;
    this.#link.leave(this);
    this.onUnreachable("busy");
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

  #takeEarly(): Buffer | undefined {
    const early = this.#early;
    if (!early) return undefined;
    this.#early = undefined;
    this.#client.off("end", this.#onClientGone);
    this.#client.unpipe(early);
    return (early.read() as Buffer | null) ?? undefined;
  }

  #answer(status: 400 | 503): void {
    this.#state = "over";
    this.#client.end(ownAnswer(status), () => this.#client.destroy());
  }

  readonly #onClientGone = (): void => {
    this.#state = "over";
    this.#link.leave(this);
    this.#client.destroy();
  };
}
