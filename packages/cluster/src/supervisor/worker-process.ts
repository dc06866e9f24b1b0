/**
 * One worker's process, from its fork to its end.
 * Owns: the process, its deadlines, its listeners. Runs in: primary.
 */
import cluster, { type Worker } from "node:cluster";
import { setTimeout as sleep } from "node:timers/promises";
import { Deadline } from "../deadline.js";
import type { ProcessSample } from "../process-health.js";
import type { RequestTally } from "../request-stats.js";
import type { ExitReason, WorkerExit, WorkerIdentity } from "../status.js";
import { placeOf } from "../wire/place.js";
import {
  decodeToPrimary,
  encodeToWorker,
  PROTOCOL_VERSION,
  type ToPrimary,
  type ToWorker,
} from "../wire/worker-messages.js";
import { LastWords } from "./last-words.js";
import type { LoopClock } from "./loop-clock.js";
import { whyNoProcess } from "./no-process.js";

/** A pipe's end arrives behind its data; this is for one that something else holds open. */
const LAST_WORDS_MS = 500;
/** What a worker may take beyond the time that it was given. */
const GRACE_MS = 500;

export interface WorkerLimits {
  readonly readyTimeoutMs: number;
  /** 0 if nobody looks. */
  readonly hangTimeoutMs: number;
  readonly beatMs: number;
  readonly drainTimeoutMs: number;
}

export class WorkerProcess {
  /** Without a `pid`, the system gave it no process, and it is about to end. */
  readonly identity: Pick<WorkerExit, keyof WorkerIdentity>;
  /** Settles when the process is gone. */
  readonly exited: Promise<WorkerExit>;
  /** Settles when it takes connections, with true, or has ended before, with false. */
  readonly settled: Promise<boolean>;
  /** What it said of itself last. */
  sample: ProcessSample | undefined;
  readonly #worker: Worker | undefined;
  /** What the system said in place of giving it a process. */
  readonly #refusal: unknown;
  readonly #limits: WorkerLimits;
  readonly #requests: RequestTally;
  readonly #clock: LoopClock;
  readonly #lastWords: LastWords;
  readonly #startedAt: number;
  #onSettled: (isReady: boolean) => void = () => {};
  /** By the clock; `undefined` until it has joined. */
  #heardAt: number | undefined;
  #readyAt: number | undefined;
  #uptimeMs = 0;
  /** When it has to have ended. */
  readonly #overdue = new Deadline();
  #reason: ExitReason = "crash";
  // starting → ready → ending → ended; starting → ending; any → ended
  #state: "starting" | "ready" | "ending" | "ended" = "starting";

  /** @param requests of the workers of that place */
  constructor(slot: number, env: object, limits: WorkerLimits, clock: LoopClock, requests: RequestTally) {
    this.#limits = limits;
    this.#requests = requests;
    this.#clock = clock;
    this.#startedAt = clock.now;
    try {
      this.#worker = cluster.fork({ ...env, ...placeOf(slot) });
    } catch (error) {
      this.#refusal = error;
    }
    this.identity = { slot, workerId: this.#worker?.id ?? 0, pid: this.#worker?.process.pid };
    if (!this.#hasProcess) this.#reason = "no-process";
    this.#lastWords = new LastWords(this.#worker?.process.stderr);
    this.settled = new Promise((resolve) => {
      this.#onSettled = resolve;
    });
    this.exited = this.#untilExit();
    void this.#overdue.passed.then(() => this.#kill("overdue"));
    this.#worker?.on("message", (raw: unknown) => {
      const message = decodeToPrimary(raw);
      if (message) this.#onMessage(message);
    });
  }

  /** As `node:cluster` knows it. Whoever is ready has one. */
  get worker(): Worker {
    if (!this.#worker) throw new Error(`slot ${this.identity.slot} got no process`);
    return this.#worker;
  }

  get isReady(): boolean {
    return this.#state === "ready";
  }

  /** Whether it was told to end, or has. */
  get isEnding(): boolean {
    return this.#state === "ending" || this.#state === "ended";
  }

  get isGone(): boolean {
    return this.#state === "ended";
  }

  /** How long it has been ready. */
  get uptimeMs(): number {
    return this.#readyAt === undefined ? this.#uptimeMs : performance.now() - this.#readyAt;
  }

  /** How long it has said nothing, beyond the time between two beats. Milliseconds. */
  get silentMs(): number {
    if (this.#heardAt === undefined) return 0;
    return Math.max(0, Math.round(this.#clock.now - this.#heardAt - this.#limits.beatMs));
  }

  /** The router has heard that it takes connections. @returns false if it has been told to end before */
  onReady(): boolean {
    if (this.#state !== "starting") return false;
    this.#state = "ready";
    this.#readyAt = performance.now();
    this.#onSettled(true);
    return true;
  }

  /** The clock has moved on: kills it if it is late or hangs. */
  check(): void {
    const { readyTimeoutMs, hangTimeoutMs, beatMs } = this.#limits;
    if (this.#state === "starting" && this.#clock.now - this.#startedAt > readyTimeoutMs) {
      this.#kill("not-ready");
    } else if (this.#state === "ready" && hangTimeoutMs > 0 && this.#heardAt !== undefined) {
      if (this.#clock.now - this.#heardAt > hangTimeoutMs + beatMs) this.#kill("hang");
    }
  }

  /** Lets it finish what it has begun, and end; kills it after that time, or after a shorter one that is told later. */
  end(timeoutMs: number): Promise<WorkerExit> {
    const isFirst = this.#state === "starting" || this.#state === "ready";
    if (isFirst) {
      this.#state = "ending";
      this.#onSettled(false);
      // One whose channel is closed is about to end by itself, and cannot be asked any more.
      if (this.#hasProcess && this.#worker?.isConnected()) this.#reason = "retired";
    }
    if (this.#state !== "ending" || !this.#hasProcess) return this.exited;
    const isSooner = this.#overdue.bringForward(timeoutMs + GRACE_MS);
    if (isSooner && this.#hasJoined) this.#tellToEnd(timeoutMs);
    // One that has not joined, or speaks another version, knows this word.
    else if (isFirst) this.#worker?.process.kill("SIGTERM");
    return this.exited;
  }

  /** Ends it at once, unless it is ready by now. */
  makeWay(): void {
    if (!this.isReady) void this.end(0);
  }

  /** Does not wait for anything any more. */
  hurry(): void {
    if (this.#state !== "ended") this.#kill("overdue");
  }

  get #hasProcess(): boolean {
    return this.identity.pid !== undefined;
  }

  get #hasJoined(): boolean {
    return this.#heardAt !== undefined;
  }

  #tellToEnd(timeoutMs: number): void {
    this.#send({ kind: "drain", timeoutMs: Math.round(timeoutMs) });
  }

  #kill(reason: ExitReason): void {
    if (!this.#hasProcess) return;
    this.#reason = reason;
    // Not `worker.kill()`, which waits for the worker to hear of it. A process that is stopped or blocked hears nothing.
    this.#worker?.process.kill("SIGKILL");
  }

  #onMessage(message: ToPrimary): void {
    switch (message.kind) {
      case "join":
        if (message.version !== PROTOCOL_VERSION) return;
        this.#heardAt = this.#clock.now;
        this.#send({
          kind: "welcome",
          version: PROTOCOL_VERSION,
          beatMs: this.#limits.beatMs,
          drainMs: this.#limits.drainTimeoutMs,
        });
        // It was told in a way that it did not understand.
        if (this.#state === "ending") this.#tellToEnd(Math.max(0, this.#overdue.leftMs - GRACE_MS));
        return;
      case "beat":
        this.#heardAt = this.#clock.now;
        this.sample = message.sample;
        this.#requests.include(message.requests);
        return;
      case "drained":
        if (this.#state === "ready" || this.#state === "starting") this.#reason = "left";
        // Tells the router as well that its place is free for another one.
        this.#worker?.disconnect();
    }
  }

  async #untilExit(): Promise<WorkerExit> {
    const [code, signal] = await this.#processEnd();
    this.#uptimeMs = this.uptimeMs;
    this.#readyAt = undefined;
    this.#state = "ended";
    this.#overdue.cancel();
    this.#onSettled(false);
    const waiting = new AbortController();
    const longEnough = sleep(LAST_WORDS_MS, undefined, { signal: waiting.signal }).catch(() => {});
    await Promise.race([this.#lastWords.ended, longEnough]);
    waiting.abort();
    this.#lastWords.unref();
    const lastWords = this.#lastWords.text;
    return { ...this.identity, reason: this.#reason, code, signal, lastWords, uptimeMs: this.#uptimeMs };
  }

  #processEnd(): Promise<[code: number | null, signal: NodeJS.Signals | null]> {
    return new Promise((resolve) => {
      const onRefusal = (error: unknown) => {
        this.#lastWords.add(whyNoProcess(error));
        resolve([null, null]);
      };
      if (!this.#worker) return onRefusal(this.#refusal);
      this.#worker.once("exit", (code: number | null, signal: NodeJS.Signals | null) =>
        resolve([code, signal]),
      );
      // Without a process there is no exit. Other errors are of messages that do not arrive: beats show that.
      this.#worker.on("error", (error: unknown) => {
        if (this.#hasProcess) return;
        onRefusal(error);
        this.#beForgotten();
      });
    });
  }

  /** Where no descriptor was left, Node.js says no more than that, and `node:cluster` waits for an exit for good. */
  #beForgotten(): void {
    const { workerId } = this.identity;
    if (cluster.workers?.[workerId]) this.#worker?.process.emit("exit", null, null);
  }

  #send(message: ToWorker): void {
    if (!this.#worker?.isConnected()) return;
    this.#worker.process.send?.(encodeToWorker(message), undefined, undefined, () => {});
  }
}
