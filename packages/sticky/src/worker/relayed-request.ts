/**
 * A request on its way to its owner, and the answer on its way back, at the pace of the slower side.
 * Owns: the request and the response of the client, until the answer is complete or this worker answers. Runs in: workers.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { reportFailure } from "../diagnostics.js";
import { encodeOrigin } from "../wire/origin.js";
import { Answer } from "./answer.js";
import { ClientChannels } from "./client-channels.js";
import { holdEnd } from "./client-end.js";
import { originOf } from "./client-origin.js";
import { mayHaveBody, plainRequest, writeHead } from "./header-fields.js";
import type { LinkStreams } from "./link-streams.js";
import { type ExchangeFailure, OwnerChannel } from "./owner-channel.js";
import type { OwnerLink, Passenger } from "./owner-link.js";
import { Upload } from "./upload.js";

/**
 * Lets this worker answer: the owner is gone, and with it the session. Nothing has been answered yet.
 * @param isWhole nothing of the request was used, so that it can go elsewhere as well
 */
export type AnswerHere = (isWhole: boolean) => void;

const ignore = () => {};

export class RelayedRequest implements Passenger {
  readonly name: string;
  readonly #link: OwnerLink;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #onRelayed: () => void;
  readonly #here: AnswerHere;
  readonly #answer: Answer;
  /** Of the client's connection; over HTTP/2, each request is a connection of its own. */
  readonly #channels: ClientChannels | undefined;
  #channel: OwnerChannel | undefined;
  #upload: Upload | undefined;
  #isLeaving = false;
  #releaseEnd: (() => void) | undefined;
  // waiting → sent → sent anew (once) → over; any → over
  #state: "waiting" | "sent" | "sent anew" | "over" = "waiting";
  waitingBytes = 0;

  constructor(
    link: OwnerLink,
    name: string,
    request: IncomingMessage,
    response: ServerResponse,
    onRelayed: () => void,
    here: AnswerHere,
  ) {
    this.#link = link;
    this.name = name;
    this.#request = request;
    this.#response = response;
    this.#onRelayed = onRelayed;
    this.#here = here;
    this.#answer = new Answer(response, request.httpVersionMajor > 1);
    if (request.httpVersionMajor === 1) this.#channels = ClientChannels.of(request.socket);
  }

  start(): void {
    const request = this.#request;
    const { fields, framing } = plainRequest(request);
    const head = writeHead(request, hostField(request), fields);
    if (head === undefined) return this.#answer.fail(400);
    if (this.#channels?.begin() === false) return this.#answer.fail(503);
    this.#response.on("error", ignore);
    this.#response.prependOnceListener("close", this.#onClientGone);
    const upload = new Upload(request, head, framing);
    this.#upload = upload;
    this.#releaseEnd = holdEnd(request, this.#response, () => upload.end());
    this.waitingBytes = head.length;
    const channel = this.#channels?.take(this.#link);
    if (channel) this.#send(channel);
    else this.#link.board(this);
  }

  onLink(streams: LinkStreams): void {
    const origin = encodeOrigin(originOf(this.name, this.#request.socket));
    this.#send(new OwnerChannel(streams.open(origin)));
  }

  /** Lets the owner answer soon: a poll would wait for the owner longer than this worker lives. */
  leave(): void {
    this.#isLeaving = true;
    if (this.#request.method === "GET") this.#channel?.leave();
  }

  onUnreachable(why: "gone" | "busy"): void {
    const isWhole = this.#isWhole;
    if (!this.#finish()) return;
    if (why === "gone") this.#answerHere(isWhole);
    else this.#answer.fail(503);
  }

  #answerHere(isWhole: boolean): void {
    this.#here(isWhole);
    this.#releaseEnd?.();
  }

  #send(channel: OwnerChannel): void {
    const { method } = this.#request;
    if (this.#state === "waiting") this.#onRelayed();
    this.#state = this.#state === "waiting" ? "sent" : "sent anew";
    this.#channel = channel;
    channel.use(
      {
        onHead: (...head) => {
          if (!this.#answer.onHead(...head)) this.#onFailure("malformed");
        },
        onBody: (chunk, last) => {
          if (this.#answer.onBody(chunk, last)) return;
          channel.pause();
          this.#answer.whenDrained(() => channel.resume());
        },
        onEnd: (reusable, trailers) => this.#onAnswered(channel, reusable, trailers),
        onDrain: () => this.#upload?.resume(),
        onFailure: (why) => this.#onFailure(why),
      },
      method === "HEAD",
    );
    this.#upload?.sendTo(channel);
    if (this.#isLeaving) this.leave();
  }

  #onAnswered(channel: OwnerChannel, reusable: boolean, trailers: readonly [string, string][]): void {
    // An answer may come before its request is complete; then the channel cannot carry another one.
    const isReusable = this.#upload?.stop() === true && reusable && this.#channels !== undefined;
    this.#finish();
    if (isReusable) this.#channels?.keep(this.#link, channel);
    else channel.destroy();
    this.#answer.onEnd(trailers);
  }

  #onFailure(why: ExchangeFailure): void {
    if (this.#state === "over") return;
    reportFailure("relay", `a request: ${why}`);
    this.#channel?.destroy();
    const hasBegun = this.#answer.hasBegun();
    if (why === "unused" && !hasBegun && this.#state === "sent" && this.#upload?.rewind() === true) {
      this.#link.board(this);
      return;
    }
    const isWhole = this.#isWhole;
    this.#finish();
    if (hasBegun || why === "cut") this.#answer.cut();
    else if (why === "refused") this.#answerHere(isWhole);
    // What is lost may have been executed; what was not used has not.
    else this.#answer.fail(why === "unused" ? 503 : 502);
  }

  get #isWhole(): boolean {
    return this.#state === "waiting" || !mayHaveBody(this.#request);
  }

  readonly #onClientGone = (): void => {
    this.#finish();
    this.#link.leave(this);
    this.#channel?.destroy();
  };

  /** @returns `false` if it was over before */
  #finish(): boolean {
    if (this.#state === "over") return false;
    this.#state = "over";
    this.#response.off("close", this.#onClientGone);
    this.#upload?.stop();
    this.#channels?.finish();
    return true;
  }
}

/** HTTP/2 has another field for it. */
function hostField({ headers, httpVersionMajor }: IncomingMessage): string[] {
  const authority = httpVersionMajor > 1 ? headers[":authority"] : undefined;
  return headers.host === undefined && authority !== undefined ? ["Host", String(authority)] : [];
}
