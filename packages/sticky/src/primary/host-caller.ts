/**
 * Somebody who has connected to the host port, until he has proven that he is one of the hosts.
 * Owns: the connection until then. Runs in: primary.
 *
 * Strangers are closed without a word; they cost no more than their socket, and that for a few seconds.
 */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import type { HostIdentity } from "../hosts/host-call.js";
import {
  encodeChallenge,
  encodeUntrusted,
  encodeVersion,
  isProvenCaller,
  MAX_UNPROVEN_BYTES,
  NONCE_BYTES,
  type Parties,
  readGreeting,
  readRequest,
} from "../wire/host-proof.js";

/** How long it may take to prove it. */
export const PROOF_MS = 5_000;
const NOTHING = Buffer.alloc(0);

export interface HostCallerEvents {
  /** It is a host. Nobody reads from the connection. @param target id of the worker that it wants */
  onProven(socket: Socket, target: number): void;
  /** It is none, and the connection is closed. */
  onStranger(caller: HostCaller, why: string): void;
}

export class HostCaller {
  readonly #socket: Socket;
  readonly #identity: HostIdentity;
  readonly #events: HostCallerEvents;
  readonly #mistrust: string | undefined;
  readonly #deadline: NodeJS.Timeout;
  #bytes: Buffer = NOTHING;
  #parties: Parties | undefined;
  // unproven → over
  #state: "unproven" | "over" = "unproven";

  /** @param mistrust why its certificate is not trusted, if that is so */
  constructor(socket: Socket, identity: HostIdentity, events: HostCallerEvents, mistrust?: string) {
    this.#socket = socket;
    this.#identity = identity;
    this.#events = events;
    this.#mistrust = mistrust;
    this.#deadline = setTimeout(() => this.refuse("it was silent for too long"), PROOF_MS).unref();
    socket.on("data", this.#onData).on("error", this.#onError).on("close", this.#onClose);
  }

  /** Closes the connection. @param lastWords what is said before */
  refuse(why: string, lastWords?: Buffer): void {
    if (this.#state === "over") return;
    this.#finish();
    const socket = this.#socket;
    // Whatever a stranger's connection suffers is of no interest.
    socket.on("error", () => {});
    if (lastWords) socket.end(lastWords, () => socket.destroy());
    else socket.destroy();
    this.#events.onStranger(this, why);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#bytes.length + chunk.length > MAX_UNPROVEN_BYTES) return this.refuse("it said too much");
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (this.#parties) this.#onRequest(this.#parties);
    else this.#onGreeting();
  };

  #onGreeting(): void {
    const greeting = readGreeting(this.#bytes);
    if (greeting === "more") return;
    if (greeting === "wrong") return this.refuse("it is no host");
    if (greeting === "version")
      return this.refuse("it runs another version of @holdfast/sticky", encodeVersion());
    if (this.#mistrust !== undefined)
      return this.refuse(`its certificate is not trusted: ${this.#mistrust}`, encodeUntrusted());
    const { name, key } = this.#identity;
    this.#parties = { caller: greeting, host: { nonce: randomBytes(NONCE_BYTES), name } };
    this.#bytes = NOTHING;
    this.#socket.write(encodeChallenge(key, this.#parties));
  }

  #onRequest(parties: Parties): void {
    const request = readRequest(this.#bytes);
    if (request === "more") return;
    if (request === "wrong" || !isProvenCaller(this.#identity.key, parties, request)) {
      return this.refuse("it does not know the secret of the hosts");
    }
    this.#finish();
    this.#socket.pause();
    this.#events.onProven(this.#socket, request.target);
  }

  readonly #onError = (): void => this.refuse("the connection failed");
  readonly #onClose = (): void => this.refuse("it has gone");

  #finish(): void {
    this.#state = "over";
    clearTimeout(this.#deadline);
    this.#socket.off("data", this.#onData).off("error", this.#onError).off("close", this.#onClose);
  }
}
