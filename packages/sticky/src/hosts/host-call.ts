/**
 * A call of another host: a connection on which both sides have proven who they are, and which leads to one of its
 * workers.
 * Owns: the connection, until it is given. Runs in: primary and workers.
 */
import { randomBytes } from "node:crypto";
import { connect, isIP, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import {
  encodeGreeting,
  encodeRequest,
  HOST_VERSION,
  HostAnswer,
  isProvenHost,
  MAX_UNPROVEN_BYTES,
  NONCE_BYTES,
  type Parties,
  readAnswer,
  readChallenge,
} from "../wire/host-proof.js";
import { type HostTls, MIN_TLS_VERSION } from "./host-tls.js";

/** How long a host may take to answer: one whose machine is lost never does. */
const CALL_MS = 3_000;
const KEEP_ALIVE_MS = 10_000;
const NOTHING = Buffer.alloc(0);

/** Who calls. */
export interface HostIdentity {
  readonly name: string;
  readonly key: Buffer;
  /** `undefined` if hosts speak without TLS. */
  readonly tls: HostTls | undefined;
}

/** Whom to call. */
export interface CalledHost {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Whether it speaks TLS there. */
  readonly isTls: boolean;
}

/** What is wrong with that host, for somebody who has several. */
export function ofHost(
  { name, host, port }: Pick<CalledHost, "name" | "host" | "port">,
  text: string,
): string {
  return `host ${name} at ${host.includes(":") ? `[${host}]` : host}:${port}: ${text}`;
}

/**
 * Why a call came to nothing.
 * `gone`: the worker is no more. `busy`: it cannot be reached now. `away`: nobody listens at the host's port, or another
 * host does; its process may have ended, or something in between may turn calls away. `silent`: it is not known what has
 * become of the host. `trouble`: what answers is none of the hosts, or is not set up to speak with this one.
 */
export class HostCallError extends Error {
  readonly why: "gone" | "busy" | "away" | "silent" | "trouble";

  constructor(why: HostCallError["why"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.why = why;
  }
}

export class HostCall {
  readonly #identity: HostIdentity;
  readonly #called: CalledHost;
  readonly #target: number;
  readonly #done: (result: Socket | HostCallError) => void;
  readonly #socket: Socket;
  readonly #nonce = randomBytes(NONCE_BYTES);
  readonly #deadline: NodeJS.Timeout;
  #bytes: Buffer = NOTHING;
  // greeting (the host has to prove who it is) → request (it has to answer) → over; greeting → over
  #state: "greeting" | "request" | "over" = "greeting";

  /**
   * @param target id of the worker there, or `WATCH`
   * @param done called once: with a paused connection on which the worker speaks next, or why there is none
   */
  constructor(
    identity: HostIdentity,
    called: CalledHost,
    target: number,
    done: (result: Socket | HostCallError) => void,
  ) {
    this.#identity = identity;
    this.#called = called;
    this.#target = target;
    this.#done = done;
    this.#socket = this.#connect();
    this.#socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS).unref();
    this.#socket.on("data", this.#onData);
    this.#socket.on("error", this.#onError);
    this.#socket.on("close", this.#onClose);
    this.#socket.write(encodeGreeting({ nonce: this.#nonce, name: identity.name }));
    this.#deadline = setTimeout(() => this.#fail("silent", "it does not answer"), CALL_MS).unref();
  }

  #connect(): Socket {
    const { host, port, isTls } = this.#called;
    const { tls } = this.#identity;
    if (isTls !== (tls !== undefined)) {
      const text = isTls
        ? "it speaks TLS, and this host does not"
        : "it speaks without TLS, and this host does not";
      process.nextTick(() => this.#fail("trouble", `${text}: give all hosts the option hostTls`));
      return new Socket();
    }
    if (!tls) return connect({ host, port });
    const { context, servername = isIP(host) ? undefined : host } = tls;
    return connectTls({
      ...{ host, port, secureContext: context, minVersion: MIN_TLS_VERSION },
      ...(servername !== undefined && { servername }),
    });
  }

  /** Nobody waits for it any more. */
  abort(): void {
    this.#finish();
    this.#socket.on("error", () => {});
    this.#socket.destroy();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#state === "request") return this.#onAnswer(chunk);
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (this.#bytes.length > 2 * MAX_UNPROVEN_BYTES) return this.#notOurs();
    const challenge = readChallenge(this.#bytes);
    if (challenge === "more") return;
    if (challenge === "wrong") return this.#notOurs();
    if (challenge === "version") {
      const text = `it runs another version of @holdfast/sticky (${this.#bytes[0]}, here ${HOST_VERSION})`;
      return this.#fail("trouble", text);
    }
    if (challenge === "untrusted") return this.#fail("trouble", "it does not trust this host's certificate");
    const caller = { nonce: this.#nonce, name: this.#identity.name };
    const parties: Parties = { caller, host: challenge };
    if (!isProvenHost(this.#identity.key, parties, challenge.proof)) return this.#notOurs();
    if (challenge.name !== this.#called.name) return this.#fail("away", "another host has its port");
    this.#state = "request";
    this.#socket.write(encodeRequest(this.#identity.key, parties, this.#target));
  };

  #onAnswer(chunk: Buffer): void {
    const answer = readAnswer(chunk[0] as number);
    if (answer === undefined || answer === HostAnswer.leaving) return this.#notOurs();
    if (answer === HostAnswer.gone) return this.#fail("gone", "it has no such worker any more");
    if (answer === HostAnswer.busy) return this.#fail("busy", "the worker cannot be reached");
    const socket = this.#socket;
    this.#finish();
    socket.pause();
    if (chunk.length > 1) socket.unshift(chunk.subarray(1));
    this.#done(socket);
  }

  #notOurs(): void {
    this.#fail("trouble", "what answers there does not know the secret of the hosts");
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    if (error.code === "ECONNREFUSED") this.#fail("away", error.message, error);
    // What the system reports has a name of a call; what TLS finds wrong has none.
    else if (error.syscall !== undefined || error.code === "ECONNRESET")
      this.#fail("silent", error.message, error);
    else this.#fail("trouble", `TLS: ${error.message}`, error);
  };

  readonly #onClose = (): void => {
    // It is overloaded, or has just ended: the next call tells.
    this.#fail("busy", "it has closed the connection");
  };

  #fail(why: HostCallError["why"], text: string, cause?: Error): void {
    if (this.#state === "over") return;
    this.abort();
    this.#done(new HostCallError(why, ofHost(this.#called, text), cause && { cause }));
  }

  #finish(): void {
    this.#state = "over";
    clearTimeout(this.#deadline);
    this.#socket.off("data", this.#onData).off("error", this.#onError).off("close", this.#onClose);
  }
}
