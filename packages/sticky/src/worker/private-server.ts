/**
 * The owner's end of the links: gives the requests that other workers relay to this worker's servers.
 * Owns: the links of other workers, until these close them. Runs in: workers.
 *
 * A link is never closed here: a request could be on its way. Without requests it does not keep the process, and what
 * comes for a server that is closed is refused.
 *
 * Each stream of a link is a connection of a client to the server's own HTTP parser, so all options of the server
 * hold for it, and its listeners see what they would see of a connection that had come here.
 */
import { timingSafeEqual } from "node:crypto";
import { createServer, type Server as HttpServer } from "node:http";
import type { Server as NetServer, Socket } from "node:net";
import { reportFailure } from "../diagnostics.js";
import { serveHttp } from "../handle/node-internals.js";
import {
  decodeMove,
  decodeResume,
  encodeFrame,
  encodeHello,
  FrameType,
  HEADER_BYTES,
} from "../wire/link-frame.js";
import { decodeOrigin } from "../wire/origin.js";
import type { AwaitedStreams } from "./awaited-streams.js";
import { LinkStreams } from "./link-streams.js";
import { relayedSocket } from "./relayed-socket.js";

/** How long a connection may take to show the secret. */
const HELLO_MS = 5_000;

/** Errors of a link whose other end has died. */
const ENDED = new Set(["ECONNRESET", "EPIPE"]);
/** How long {@link PrivateServer.answered} waits. */
const ANSWERED_MS = 5_000;

/** Who this worker is to the others. */
export interface Identity {
  readonly secret: string;
  /** Its number among them; `undefined` as long as it has none. */
  numberOf(): number | undefined;
}

/** Gives the server of that name; `undefined` if there is none any more. */
export type ServerOf = (name: string) => NetServer | undefined;

export class PrivateServer {
  readonly #identity: Identity;
  readonly #serverOf: ServerOf;
  readonly #awaited: AwaitedStreams | undefined;
  readonly #onTrouble: (error: Error) => void;
  readonly #links = new Set<LinkStreams>();
  /** Those of workers that have shown the secret. */
  readonly #known = new Set<LinkStreams>();
  /** Called when a stream has closed. */
  readonly #watchers = new Set<() => void>();
  /** HTTP parsers for servers that have none of their own. */
  readonly #substitutes = new WeakMap<NetServer, HttpServer>();

  /**
   * @param awaited of streams that may go on in other processes; `undefined` if those of these workers do not
   * @param onTrouble a link has failed, and not because the other worker has ended
   */
  constructor(
    identity: Identity,
    serverOf: ServerOf,
    awaited: AwaitedStreams | undefined,
    onTrouble: (error: Error) => void = () => {},
  ) {
    this.#identity = identity;
    this.#serverOf = serverOf;
    this.#awaited = awaited;
    this.#onTrouble = onTrouble;
  }

  /** Takes a connection of another worker; without the secret, or if it means another one, it is closed without an answer. */
  accept(socket: Socket): void {
    const deadline = setTimeout(() => socket.destroy(), HELLO_MS).unref();
    let isKnown = false;
    const link: LinkStreams = new LinkStreams(socket, {
      onControl: (type, stream, payload) => {
        if (isKnown) return this.#onStream(link, type, stream, payload);
        clearTimeout(deadline);
        isKnown = type === FrameType.hello && this.#isMeant(payload);
        if (!isKnown) return false;
        this.#known.add(link);
        link.send(encodeFrame(FrameType.welcome, 0));
        return true;
      },
      onRoom: () => this.#onRoom(),
      onClose: (error) => {
        clearTimeout(deadline);
        this.#links.delete(link);
        this.#known.delete(link);
        this.#onRoom();
        // Who does not know the secret may send what he likes.
        if (error && isKnown && !ENDED.has((error as NodeJS.ErrnoException).code ?? ""))
          this.#onTrouble(error);
      },
    });
    this.#links.add(link);
  }

  /** A path may lead to the wrong worker: who has come for another one goes no further. */
  #isMeant(hello: Buffer): boolean {
    const { secret, numberOf } = this.#identity;
    const number = numberOf();
    return number !== undefined && isSame(hello, encodeHello(secret, number).subarray(HEADER_BYTES));
  }

  /** Sends those away that have links here: this worker has given its sessions to another one. */
  goAway(): void {
    for (const link of this.#known) link.send(encodeFrame(FrameType.goAway, 0));
  }

  /** Settles when the system has all that was sent so far, or after some seconds. */
  async written(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const passed = new Promise((resolve) => {
      timer = setTimeout(resolve, ANSWERED_MS).unref();
    });
    await Promise.race([passed, Promise.all(Array.from(this.#links, (link) => link.written()))]);
    clearTimeout(timer);
  }

  /** Settles when no stream is open any more and all is written, or after some seconds. */
  async answered(): Promise<void> {
    await new Promise<void>((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#watchers.delete(watcher);
        resolve();
      };
      const watcher = () => {
        const links = [...this.#links];
        if (links.some((link) => link.size > 0)) return;
        this.#watchers.delete(watcher);
        void Promise.all(links.map((link) => link.written())).then(finish);
      };
      const timer = setTimeout(finish, ANSWERED_MS).unref();
      this.#watchers.add(watcher);
      watcher();
    });
  }

  #onRoom(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #onStream(link: LinkStreams, type: FrameType, id: number, payload: Buffer): boolean {
    if (link.has(id)) return false;
    if (type === FrameType.open) return this.#onOpen(link, id, payload);
    if (type === FrameType.move) return this.#onMissed(payload);
    const token = type === FrameType.resume ? decodeResume(payload) : undefined;
    if (token === undefined || !this.#awaited) return false;
    this.#awaited.onResume(token, link, id);
    return true;
  }

  /** The other end of a stream that is closed here has moved: who goes on with it will call in vain. */
  #onMissed(payload: Buffer): boolean {
    const move = decodeMove(payload);
    if (move) this.#awaited?.refuse(move.token);
    return move !== undefined;
  }

  #onOpen(link: LinkStreams, id: number, payload: Buffer): boolean {
    const origin = decodeOrigin(payload);
    if (!origin) return false;
    const server = this.#serverOf(origin.name);
    if (!server) {
      reportFailure("relay", `a request for "${origin.name}", which is closed, is refused`);
      link.send(encodeFrame(FrameType.refuse, id));
      return true;
    }
    const socket = relayedSocket({ id, carrier: link }, origin);
    this.#awaited?.follow(socket);
    link.add(socket);
    if (!serveHttp(server, socket)) serveHttp(this.#substituteFor(server), socket);
    return true;
  }

  #substituteFor(server: NetServer): HttpServer {
    let substitute = this.#substitutes.get(server);
    if (!substitute) {
      substitute = createServer({ requireHostHeader: false });
      substitute.on("request", (request, response) => {
        if (!server.emit("request", request, response)) request.socket.destroy();
      });
      substitute.on("upgrade", (request, socket, head) => {
        if (!server.emit("upgrade", request, socket, head)) socket.destroy();
      });
      this.#substitutes.set(server, substitute);
    }
    return substitute;
  }
}

function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
