/**
 * The router: reads as little of a connection as it needs, picks the worker, hands the connection over.
 * Owns: the connections of one server from their arrival until a worker has them. Runs in: primary.
 */
import { EventEmitter } from "node:events";
import type { Server as NetServer } from "node:net";
import createDebug from "debug";
import type { HoldfastError } from "../errors.js";
import type { Handover } from "../handle/handover.js";
import { addressOf, type Handle } from "../handle/node-internals.js";
import { type PrimaryEvents, type PrimaryStats, REFUSAL_REASONS, type RefusalReason } from "../stats.js";
import { decodeMark, NO_OWNER } from "../wire/owner-mark.js";
import { sessionIdOf } from "../wire/session-id.js";
import { takeConnections } from "./acceptor.js";
import { Chooser } from "./chooser.js";
import { createHeadReader, type Head } from "./head.js";
import { Intake, type IntakeFailure } from "./intake.js";
import { type RefusalStatus, refuse } from "./refusal.js";
import type { ResolvedPrimaryOptions } from "./resolve-options.js";
import { Roster } from "./roster.js";
import type { RoutedWorker } from "./routed-worker.js";
import { WaitingRoom } from "./waiting-room.js";

const debug = createDebug("holdfast:sticky:router");

/** After so many workers that could not take it, a connection is closed. */
const MAX_ATTEMPTS = 5;

/** A head of which nothing was read. */
const UNREAD: Head = { kind: "unread", skip: 0, peer: undefined };

const INTAKE_FAILURES: Readonly<Record<IntakeFailure, readonly [RefusalReason, RefusalStatus?]>> = {
  "client-closed": ["client-closed"],
  evicted: ["evicted"],
  silent: ["silent"],
  timeout: ["head-timeout", 408],
  "too-long": ["head-too-long", 431],
};

interface Arrival {
  readonly handover: Handover;
  readonly head: Head;
}

export class Router extends EventEmitter<PrimaryEvents> {
  readonly #options: ResolvedPrimaryOptions;
  readonly #roster = Roster.acquire();
  readonly #chooser: Chooser;
  /** `undefined` if nothing has to be read. */
  readonly #intake: Intake<Head> | undefined;
  readonly #waiting: WaitingRoom<Arrival>;
  readonly #refused = Object.fromEntries(REFUSAL_REASONS.map((reason) => [reason, 0])) as Record<
    RefusalReason,
    number
  >;
  readonly #releases: (() => void)[] = [];
  // open → closed
  #state: "open" | "closed" = "open";

  constructor(server: NetServer, options: ResolvedPrimaryOptions, onClose: () => void) {
    super();
    this.#releases.push(onClose);
    this.#options = options;
    this.#chooser = new Chooser(options, (warning) => this.#warn(warning));
    const read = createHeadReader({
      proxyProtocol: options.proxyProtocol,
      requestLine: options.loadBalancingMethod !== "hash" || options.selectWorker !== undefined,
      headerField: this.#chooser.needsAddress && options.isTrusted ? options.forwardedHeader : undefined,
    });
    this.#intake =
      read &&
      new Intake(options, {
        read,
        done: (handle, bytes, head) => this.#onHead(handle, bytes, head),
        failed: (handle, why) => this.#refuse(handle, ...INTAKE_FAILURES[why]),
      });
    this.#waiting = new WaitingRoom(options.workerTimeoutMs, ({ handover }) =>
      this.#refuse(handover.handle, "no-worker", 503),
    );
    this.#listen(server);
  }

  stats(): PrimaryStats {
    return {
      pending: this.#intake?.size ?? 0,
      waiting: this.#waiting.size,
      refused: { ...this.#refused },
      workers: this.#roster.candidates(this.#options.name).map((routed) => routed.stats()),
    };
  }

  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    for (const release of this.#releases.splice(0)) release();
    this.#intake?.close();
    for (const { handover } of this.#waiting.drain()) handover.handle.close();
    this.#roster.release();
  }

  #listen(server: NetServer): void {
    const { name } = this.#options;
    const onReady = (routed: RoutedWorker, readyName: string) => {
      if (readyName !== name) return;
      this.emit("worker:ready", { workerId: routed.workerId, slot: routed.slot });
      for (const { handover, head } of this.#waiting.drain()) this.#place(handover, head);
    };
    const onGone = (routed: RoutedWorker, goneName: string) => {
      if (goneName === name) this.emit("worker:gone", { workerId: routed.workerId, slot: routed.slot });
    };
    const onListening = () => this.#roster.tellAddress(name, server.address() ?? undefined);
    server.on("listening", onListening);
    const onMismatch = (warning: HoldfastError) => this.#warn(warning);
    this.#roster.on("ready", onReady).on("gone", onGone).on("mismatch", onMismatch);
    this.#releases.push(
      takeConnections(server, (handle, buffered) => this.#onHandle(handle, buffered)),
      () => server.off("listening", onListening),
      () => this.#roster.off("ready", onReady).off("gone", onGone).off("mismatch", onMismatch),
      this.#roster.register(name, (handover) => this.#onReturned(handover)),
    );
    if (server.listening) onListening();
  }

  #onHandle(handle: Handle, buffered: Buffer | undefined): void {
    if (this.#intake) this.#intake.add(handle, buffered);
    else this.#onHead(handle, buffered, UNREAD);
  }

  #onHead(handle: Handle, bytes: Buffer | undefined, head: Head): void {
    if (head.kind === "invalid") this.#refuse(handle, "bad-request", 400);
    else if (head.kind === "invalid-proxy-header") this.#refuse(handle, "bad-proxy-header");
    else this.#place(this.#handover(handle, bytes, head), head);
  }

  #handover(handle: Handle, bytes: Buffer | undefined, { skip, peer, target }: Head): Handover {
    const sessionId = target === undefined ? undefined : sessionIdOf(target);
    const owner = sessionId === undefined ? NO_OWNER : decodeMark(this.#roster.tag, sessionId);
    const head = bytes === undefined ? "" : bytes.toString("latin1", skip);
    return { handle, name: this.#options.name, head, peer, owner, attempts: 0 };
  }

  #onReturned(handover: Handover): void {
    handover.attempts++;
    if (handover.attempts > MAX_ATTEMPTS) this.#refuse(handover.handle, "undeliverable");
    else this.#place(handover, UNREAD);
  }

  #place(handover: Handover, head: Head): void {
    const { owner } = handover;
    const { name } = this.#options;
    const routed =
      (owner === NO_OWNER ? undefined : this.#roster.find(owner, name)) ??
      this.#chooser.choose(this.#roster.candidates(name), handover, head);
    if (routed) routed.hand(handover);
    else this.#waiting.add({ handover, head });
  }

  /** Where nobody listens, Node.js prints it. */
  #warn(warning: HoldfastError): void {
    if (this.listenerCount("warning") > 0) this.emit("warning", warning);
    else process.emitWarning(warning);
  }

  #refuse(handle: Handle, reason: RefusalReason, status?: RefusalStatus): void {
    this.#refused[reason]++;
    if (debug.enabled) debug("refused %s: %s", addressOf(handle), reason);
    if (this.listenerCount("refused") > 0) this.emit("refused", { reason, remoteAddress: addressOf(handle) });
    const retryAfterSeconds = Math.max(1, Math.ceil(this.#options.workerTimeoutMs / 1_000));
    if (status === undefined) handle.close();
    else refuse(handle, status, status === 503 ? retryAfterSeconds : undefined);
  }
}
