/**
 * Relays requests to the worker that owns their session.
 * Owns: a relayed request until its answer is complete; the links to the owners. Runs in: workers.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import createDebug from "debug";
import { endToEnd, writeHead } from "./header-fields.js";
import { type OwnerLink, OwnerLinks } from "./owner-link.js";

const debug = createDebug("holdfast:sticky:forwarder");

/** The owner cannot be reached; nothing has been answered yet. */
export type OnUnreachable = () => void;

export class Relay {
  readonly #links = new OwnerLinks();
  readonly #onRelayed: () => void;

  /** @param onRelayed is called for each request that is passed on */
  constructor(onRelayed: () => void) {
    this.#onRelayed = onRelayed;
  }

  /**
   * Sends `request` to the owner at `path` and its answer to the client, at the pace of the slower side.
   * @param target request target as the owner's private socket wants it
   */
  request(
    path: string,
    target: string,
    request: IncomingMessage,
    response: ServerResponse,
    onUnreachable: OnUnreachable,
  ): void {
    const isChunked = request.headers["transfer-encoding"] !== undefined || isHttp2WithBody(request);
    const head = requestHead(request, target, isChunked);
    if (head === undefined) {
      response.socket?.destroy();
      return;
    }
    const link = this.#links.take(path);
    const abandon = () => {
      upload.stop();
      link.destroy();
    };
    response.once("close", abandon);
    const upload = new Upload(request, link, head, isChunked);
    const answer = new Answer(response, link, request.httpVersionMajor > 1);
    link.use(
      {
        onOpen: () => {
          this.#onRelayed();
          upload.start();
        },
        onHead: (...fields) => answer.onHead(...fields),
        onBody: (chunk, last) => answer.onBody(chunk, last),
        onEnd: () => {
          response.off("close", abandon);
          // An answer may come before its request is complete; then the link cannot carry another one.
          if (!upload.stop()) link.destroy();
          answer.onEnd();
        },
        onDrain: () => void request.resume(),
        onFailure: (error) => {
          response.off("close", abandon);
          upload.stop();
          debug("relaying a request failed: %s", error.message);
          if (response.destroyed) return;
          if (response.headersSent) response.destroy();
          else onUnreachable();
        },
      },
      request.method === "HEAD",
    );
  }

  /** Sends an upgrade to the owner at `path` and passes all bytes on from then, in both directions. */
  upgrade(
    path: string,
    target: string,
    request: IncomingMessage,
    client: Duplex,
    head: Buffer,
    onUnreachable: OnUnreachable,
  ): void {
    const text = writeHead(request.method ?? "GET", target, request.rawHeaders);
    if (text === undefined) {
      client.destroy();
      return;
    }
    const owner = connect({ path, allowHalfOpen: true });
    const onFailure = () => {
      client.off("error", ignore);
      onUnreachable();
    };
    client.on("error", ignore);
    owner.once("error", onFailure);
    owner.once("connect", () => {
      this.#onRelayed();
      owner.off("error", onFailure);
      owner.write(text, "latin1");
      if (head.length > 0) owner.write(head);
      join(client, owner);
    });
  }

  close(): void {
    this.#links.close();
  }
}

const ignore = () => {};

/** An answer on its way to the client. */
class Answer {
  readonly #response: ServerResponse;
  readonly #link: OwnerLink;
  readonly #isHttp2: boolean;

  constructor(response: ServerResponse, link: OwnerLink, isHttp2: boolean) {
    this.#response = response;
    this.#link = link;
    this.#isHttp2 = isHttp2;
  }

  onHead(status: number, statusText: string, rawHeaders: string[]): void {
    const headers = endToEnd(rawHeaders, connectionField(rawHeaders));
    this.#response.sendDate = false;
    // HTTP/2 has no reason phrase, and Node.js warns of one.
    if (this.#isHttp2) this.#response.writeHead(status, headers);
    else this.#response.writeHead(status, statusText, headers);
  }

  onBody(chunk: Buffer, last: boolean): void {
    if (last) this.#response.end(chunk);
    else if (!this.#response.write(chunk)) {
      this.#link.pause();
      this.#response.once("drain", () => this.#link.resume());
    }
  }

  onEnd(): void {
    if (!this.#response.writableEnded) this.#response.end();
  }
}

function connectionField(rawHeaders: readonly string[]): string | undefined {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === "connection") return rawHeaders[i + 1];
  }
  return undefined;
}

/** A body of HTTP/2 may come without a length. */
function isHttp2WithBody({ httpVersionMajor, headers, method }: IncomingMessage): boolean {
  const hasBody = method !== "GET" && method !== "HEAD";
  return httpVersionMajor > 1 && hasBody && headers["content-length"] === undefined;
}

/** The body is framed anew, as the parsed message tells: the client's framing ended at our parser. */
function requestHead(request: IncomingMessage, target: string, isChunked: boolean): string | undefined {
  const headers = endToEnd(request.rawHeaders, request.headers.connection);
  const authority = request.headers[":authority"];
  if (request.headers.host === undefined && authority !== undefined) headers.push("Host", String(authority));
  // Codings before "chunked" are still on the body.
  if (isChunked) headers.push("Transfer-Encoding", request.headers["transfer-encoding"] ?? "chunked");
  return writeHead(request.method ?? "GET", target, headers);
}

const CRLF = Buffer.from("\r\n");

/** A request on its way to the owner; the head leaves together with the first part of the body. */
class Upload {
  readonly #request: IncomingMessage;
  readonly #link: OwnerLink;
  readonly #isChunked: boolean;
  #head: string;
  // waiting → sending → sent; waiting, sending → stopped
  #state: "waiting" | "sending" | "sent" | "stopped" = "waiting";

  constructor(request: IncomingMessage, link: OwnerLink, head: string, isChunked: boolean) {
    this.#request = request;
    this.#link = link;
    this.#head = head;
    this.#isChunked = isChunked;
  }

  start(): void {
    if (this.#state !== "waiting") return;
    const hasBody = this.#isChunked || Number(this.#request.headers["content-length"] ?? 0) > 0;
    if (hasBody) {
      this.#state = "sending";
      this.#request.on("data", this.#onData);
      this.#request.once("end", this.#onEnd);
    } else {
      this.#state = "sent";
      this.#link.write(this.#head);
      this.#request.resume();
    }
  }

  /** Sends no more; tells whether all was sent. */
  stop(): boolean {
    if (this.#state === "sent") return true;
    if (this.#state === "sending") {
      this.#request.off("data", this.#onData);
      this.#request.off("end", this.#onEnd);
      this.#request.resume();
    }
    this.#state = "stopped";
    return false;
  }

  readonly #onData = (chunk: Buffer): void => {
    const parts = this.#isChunked ? [Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, CRLF] : [chunk];
    if (this.#head !== "") parts.unshift(Buffer.from(this.#head, "latin1"));
    this.#head = "";
    if (!this.#link.write(Buffer.concat(parts))) this.#request.pause();
  };

  readonly #onEnd = (): void => {
    this.#state = "sent";
    if (this.#isChunked) this.#link.write(`${this.#head}0\r\n\r\n`);
  };
}

/** Passes bytes, ends and failures of two connections to each other. */
function join(client: Duplex, owner: Socket): void {
  client.on("error", () => owner.destroy());
  owner.on("error", () => client.destroy());
  client.once("close", () => owner.destroy());
  owner.once("close", () => client.destroy());
  client.pipe(owner);
  owner.pipe(client);
}
