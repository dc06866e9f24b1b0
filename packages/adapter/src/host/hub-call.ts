/**
 * One attempt to join the hub at a Unix socket: opens both connections and waits for the answer, however late it is.
 * Owns: the connections, until the link has them. Runs in: workers.
 */
import { randomBytes } from "node:crypto";
import type { Link, LinkEvents } from "../link/contract.js";
import { UnixConnection, unixLink } from "../link/unix.js";
import { VERSION } from "../version.js";
import { PROTOCOL_VERSION } from "../wire/frame.js";
import { MESSAGE_KEY, type Refusal, type Welcome } from "../wire/handshake.js";
import { encodeSocketMessage, MessageReader, readAnswer } from "../wire/socket-handshake.js";
import { processMark } from "./process-mark.js";

export interface HubCallEvents {
  /** @param makeLink to be called at once; frames that came with the welcome follow on the link */
  onWelcome(welcome: Welcome, makeLink: (events: LinkEvents) => Link): void;
  /** It is there, and cannot take members yet. */
  onStarting(): void;
  onRefusal(refusal: Refusal): void;
  /** There was no answer, and there will be none. @param code the system's, such as ECONNREFUSED */
  onFailure(code: string): void;
}

// calling → answered or over; at "over" both connections are closed
type State = "calling" | "answered" | "over";

export class HubCall {
  readonly #toHub: UnixConnection;
  readonly #fromHub: UnixConnection;
  readonly #events: HubCallEvents;
  #reader = new MessageReader();
  #state: State = "calling";

  /** @param workerId `cluster.worker.id`, or 0 */
  constructor(path: string, workerId: number, events: HubCallEvents) {
    this.#events = events;
    this.#toHub = UnixConnection.to(path);
    this.#fromHub = UnixConnection.to(path);
    for (const { socket } of [this.#toHub, this.#fromHub]) {
      socket.once("error", ({ code = "" }: NodeJS.ErrnoException) => this.#fail(code));
      socket.once("close", () => this.#fail("ECONNRESET"));
    }
    const spoken = {
      protocol: PROTOCOL_VERSION,
      version: VERSION,
      token: randomBytes(16).toString("hex"),
    };
    const { pid } = process;
    const join = {
      [MESSAGE_KEY]: "join",
      ...spoken,
      workerId,
      pid,
      processMark: processMark("self"),
    } as const;
    this.#toHub.socket.write(encodeSocketMessage(join));
    this.#fromHub.socket.write(encodeSocketMessage({ [MESSAGE_KEY]: "listen", ...spoken }));
    this.#fromHub.readBy((chunk) => this.#onChunk(chunk));
  }

  close(): void {
    if (this.#state !== "calling") return;
    this.#state = "over";
    this.#toHub.close();
    this.#fromHub.close();
  }

  #onChunk(chunk: Buffer): void {
    const message = this.#reader.push(chunk);
    if (!message || this.#state !== "calling") return;
    const answer = readAnswer(message.value);
    switch (answer?.[MESSAGE_KEY]) {
      case "welcome":
        return this.#onWelcome(answer, message.rest);
      case "starting":
        return this.#onStarting(message.rest);
      case "refusal":
        this.close();
        return this.#events.onRefusal(answer);
      default:
        this.close();
        return this.#events.onFailure("EPROTO");
    }
  }

  /** Another answer follows. */
  #onStarting(rest: Buffer): void {
    this.#events.onStarting();
    this.#reader = new MessageReader();
    this.#onChunk(rest);
  }

  #onWelcome(welcome: Welcome, rest: Buffer): void {
    this.#state = "answered";
    this.#events.onWelcome(welcome, (events) => {
      const link = unixLink(this.#fromHub, this.#toHub, events);
      if (rest.length > 0) queueMicrotask(() => events.onChunk(rest));
      return link;
    });
  }

  #fail(code: string): void {
    if (this.#state !== "calling") return;
    this.close();
    this.#events.onFailure(code);
  }
}
