/**
 * This process as the supervisor's worker: says that it lives, takes orders, ends.
 * Owns: the listeners of the process, the beat, and the end. Runs in: workers, one for all servers of the process;
 * in a single process it only ends the servers.
 */
import cluster from "node:cluster";
import { subscribe } from "node:diagnostics_channel";
import { isMainThread } from "node:worker_threads";
import type { AdapterDiagnostics } from "@holdfast/adapter";
import { Deadline } from "../deadline.js";
import { throwUncaught } from "../faults.js";
import { ProcessHealth } from "../process-health.js";
import { processWide } from "../process-wide.js";
import { RequestTally } from "../request-stats.js";
import { ownPlace } from "../wire/place.js";
import {
  decodeToWorker,
  encodeToPrimary,
  PROTOCOL_VERSION,
  type ToPrimary,
} from "../wire/worker-messages.js";

/** How long a worker may take to end when nobody has said. */
const DRAIN_MS = 10_000;
/** How much of it the servers have; the rest is for `onStop`. */
const SERVERS_SHARE = 0.9;
/** After so much of it, they are waited for no more, though they should have cut off whatever does not end. */
const LATEST_SHARE = 0.95;
/** How long the primary may take to disconnect a worker that has finished. */
const DISCONNECT_MS = 2_000;
const REQUEST_CHANNEL = "holdfast:adapter:request";

/** Whether this is a thread of a supervised worker: `node:cluster` and the signals are the main thread's. */
export function isThreadOfWorker(): boolean {
  return !isMainThread && ownPlace() !== undefined;
}

/** A server of this process. */
export interface MemberServer {
  /** Takes no new connections, and finishes. */
  drain(timeoutMs: number): Promise<void>;
  /** The application's last word, when it has finished. */
  onStop(): unknown;
}

/** The end of all servers. */
interface Leaving {
  readonly done: Promise<void>;
  /** When all is to be over. */
  readonly all: Deadline;
  /** When those that finish now are waited for no more; `undefined` while none does. */
  servers: Deadline | undefined;
}

export class Member {
  /** The member of this process. */
  static get(): Member {
    return processWide("member", () => new Member());
  }

  readonly slot: number;
  readonly #isSupervised: boolean;
  #hasJoined = false;
  /** Servers that have not begun to finish. */
  readonly #serving = new Set<MemberServer>();
  #isListening = false;
  #beat: NodeJS.Timeout | undefined;
  #health: ProcessHealth | undefined;
  readonly #requests = new RequestTally();
  #drainMs = DRAIN_MS;
  #leaving: Leaving | undefined;

  private constructor() {
    const slot = cluster.isWorker ? ownPlace() : undefined;
    this.#isSupervised = slot !== undefined;
    this.slot = slot ?? Math.max(0, (cluster.worker?.id ?? 1) - 1);
  }

  /** Takes orders and signals from now on. */
  listen(): void {
    if (!cluster.isWorker || this.#isListening) return;
    this.#isListening = true;
    // First: when a listener of the application throws, Node.js calls none after it.
    process
      .prependListener("message", this.#onMessage)
      .on("disconnect", this.#onDisconnect)
      .prependListener("SIGTERM", this.#onTerm)
      .prependListener("SIGINT", this.#onGroupSignal)
      .prependListener("SIGHUP", this.#onGroupSignal);
  }

  /** Undoes {@link listen}, unless there is a server. */
  unlisten(): void {
    if (this.#hasJoined) return;
    this.#isListening = false;
    process
      .off("message", this.#onMessage)
      .off("disconnect", this.#onDisconnect)
      .off("SIGTERM", this.#onTerm)
      .off("SIGINT", this.#onGroupSignal)
      .off("SIGHUP", this.#onGroupSignal);
  }

  /** One that comes while the others finish has to finish, too. */
  add(server: MemberServer): void {
    this.#serving.add(server);
    if (this.#isSupervised && !this.#hasJoined) this.#send({ kind: "join", version: PROTOCOL_VERSION });
    this.#hasJoined = true;
  }

  /** Finishes all servers and, in a worker, exits. A shorter time that is told later holds from then on. */
  leave(timeoutMs = this.#drainMs): Promise<void> {
    this.#leaving ??= this.#beginToLeave();
    const { all, servers, done } = this.#leaving;
    if (all.bringForward(timeoutMs)) servers?.bringForward(timeoutMs * LATEST_SHARE);
    return done;
  }

  #beginToLeave(): Leaving {
    // Not at once: listeners of the application may call leave() as well, and wait for the same.
    const done = Promise.resolve().then(() => this.#leave());
    return { done, all: new Deadline(), servers: undefined };
  }

  async #leave(): Promise<void> {
    const leaving = this.#leaving as Leaving;
    while (this.#serving.size > 0) await this.#finish(leaving);
    leaving.all.cancel();
    if (!cluster.isWorker) {
      this.#leaving = undefined;
      return;
    }
    if (!this.#isSupervised || !process.connected) process.exit();
    this.#send({ kind: "drained" });
    setTimeout(() => process.exit(), DISCONNECT_MS);
  }

  async #finish(leaving: Leaving): Promise<void> {
    const { all } = leaving;
    const finishing = [...this.#serving];
    this.#serving.clear();
    const servers = new Deadline();
    leaving.servers = servers;
    servers.bringForward(all.leftMs * LATEST_SHARE);
    const drainMs = Math.floor(all.leftMs * SERVERS_SHARE);
    const finished = eachSettled(finishing, (server) => server.drain(drainMs));
    await Promise.race([finished, servers.passed]);
    servers.cancel();
    leaving.servers = undefined;
    const stopped = eachSettled(finishing, (server) => server.onStop());
    await Promise.race([stopped, all.passed]);
  }

  /** What a listener of the application begins, and how long it may take, comes before. */
  readonly #onTerm = (): void => queueMicrotask(() => void this.leave());

  /** Ctrl+C and the end of a terminal reach the whole group: there, the supervisor decides when the workers go. */
  readonly #onGroupSignal = (): void => {
    if (!this.#isSupervised) this.#onTerm();
  };

  readonly #onMessage = (raw: unknown): void => {
    const message = decodeToWorker(raw);
    switch (message?.kind) {
      case "welcome":
        this.#drainMs = message.drainMs;
        this.#startToBeat(message.beatMs);
        return;
      case "drain":
        void this.leave(message.timeoutMs);
    }
  };

  #startToBeat(everyMs: number): void {
    clearInterval(this.#beat);
    if (!this.#health) subscribe(REQUEST_CHANNEL, this.#onRequest);
    this.#health ??= new ProcessHealth();
    const health = this.#health;
    this.#beat = setInterval(() => {
      this.#send({ kind: "beat", sample: health.sample(), requests: this.#requests.take() });
    }, everyMs);
    this.#beat.unref();
  }

  readonly #onRequest = (message: unknown): void => {
    // Only the adapter has that channel, with messages of its type.
    const { durationMs, error } = message as AdapterDiagnostics[typeof REQUEST_CHANNEL];
    this.#requests.add(durationMs, error?.code);
  };

  /** A primary that is gone has ended this process already: Node.js sees to that. */
  readonly #onDisconnect = (): void => {
    clearInterval(this.#beat);
    if (this.#isSupervised) process.exit();
    else void this.leave();
  };

  #send(message: ToPrimary): void {
    // Whether it arrives, the supervisor sees by what comes next.
    if (process.connected) process.send?.(encodeToPrimary(message), undefined, undefined, () => {});
  }
}

/** Waits for all of them. One that fails is uncaught, and keeps neither the others nor the process. */
async function eachSettled<T>(all: readonly T[], run: (one: T) => unknown): Promise<void> {
  await Promise.all(
    all.map(async (one) => {
      try {
        await run(one);
      } catch (error) {
        throwUncaught(error);
      }
    }),
  );
}
