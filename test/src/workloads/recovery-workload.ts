/**
 * The recovery workload: workers send numbered messages to rooms while clients lose their connections and workers
 * are killed, or replaced while their sessions move. Records what every client got; {@link check} of the harness judges. Runs in: tests.
 */
import type { DurationStats } from "@holdfast/sticky";
import type { Sending } from "../fixtures/recovery-node.js";
import { type RemoteWorker, TestCluster } from "../harness/cluster.js";
import type { Context } from "../harness/context.js";
import { CutOff } from "../harness/cut-off.js";
import type { ClientHistory } from "../harness/history-check.js";
import { Crowd } from "./crowd.js";
import { openSubjects, pick, type Subject, sleep, stopAll, until } from "./subjects.js";

export interface WorkloadOptions {
  readonly seconds: number;
  readonly workers: number;
  readonly clients: number;
  readonly rooms: number;
  /** Messages a second, of all workers together. */
  readonly rate: number;
  /** A random worker is killed and forked anew this often, milliseconds. */
  readonly killEveryMs: number;
  /**
   * Whether, between two kills, a random worker is cut off for a moment and taken back, and clients wait for
   * middlewares, so that it happens in the middle of their return. @default false
   */
  readonly cutsOff?: boolean;
  /** What carries the messages. @default "pipe" */
  readonly link?: "pipe" | "ipc" | "unix";
  /** A client loses its connection this often, milliseconds on average. */
  readonly dropEveryMs: number;
  /**
   * How often all workers are replaced, one after another, while their sessions move. Then nothing else happens, for as
   * long as that takes. @default 0
   */
  readonly reloads?: number;
  /** So many more WebSocket clients are connected and do nothing, in a process of their own. @default 0 */
  readonly rawClients?: number;
  /** Is told what has come of the reloads so far. @default undefined */
  readonly onReload?: (moves: Readonly<Moves>) => void;
}

export interface WorkloadResult {
  readonly histories: ClientHistory[];
  /** Sessions that came back with other rooms or data than they had. */
  readonly faults: string[];
  readonly kills: number;
  readonly cuts: number;
  readonly drops: number;
  readonly messages: number;
  /** Sessions of workers that were replaced. */
  readonly moves: Moves;
  /** How many of the raw clients were cut off. */
  readonly rawDisconnects: number;
}

/** What has become of the sessions of workers that were replaced. */
export interface Moves {
  moved: number;
  lost: number;
  closed: number;
  /** How long `retire()` took, all workers together. */
  seconds: number;
  /** How long sessions had no worker: so many milliseconds at most, as the router's buckets tell. */
  freezeP50: number;
  freezeP99: number;
  /**
   * Of the whole cluster, bytes, before the first reload and after each: heaps and buffers after a full garbage collection,
   * without the packets of the journal, which fills up as time goes by.
   */
  readonly memory: number[];
}

/** Before anything has moved. */
export const noMoves = (): Moves => ({
  moved: 0,
  lost: 0,
  closed: 0,
  seconds: 0,
  freezeP50: 0,
  freezeP99: 0,
  memory: [],
});

/** Ten thousand sessions of a worker take their time where cores are few. */
const RETIRE_MS = 300_000;
const CUT_OFF_MS = 300;
/** How long a client on long-polling may stay with a worker that is replaced. */
const STAY_MS = 10_000;
const SPREAD_MS = 100;

export async function runWorkload(options: WorkloadOptions): Promise<WorkloadResult> {
  const { workers, rate, clients, rooms: roomCount } = options;
  const cluster = await TestCluster.start({
    workers,
    moves: true,
    deadlineMs: RETIRE_MS,
    io: { connectionStateRecovery: { skipMiddlewares: !options.cutsOff } },
    hubOptions: { link: options.link ?? "pipe" },
    workerModule: new URL("../../dist/fixtures/recovery-node.js", import.meta.url).href,
  });
  const faults: string[] = [];
  const rooms = Array.from({ length: roomCount }, (_, i) => `room ${i}`);
  const sending: Sending = { perSecond: rate / workers, rooms };
  const subjects: Subject[] = [];
  let crowd: Crowd | undefined;
  try {
    for (const worker of cluster.workers) worker.on("fault", (fault) => faults.push(fault));
    // First of all: nobody records how they are greeted, and between two messages that are recorded none may be missing.
    if (options.rawClients) crowd = await Crowd.open(Number(new URL(cluster.url).port), options.rawClients);
    subjects.push(...openSubjects(cluster.url, clients, rooms));
    await until(() => subjects.every((subject) => subject.isGreeted), "all clients");
    if (options.reloads) await until(() => subjects.every((subject) => subject.isUpgraded), "all upgrades");
    for (const worker of cluster.workers) await worker.run((ctx, how) => ctx.store.send(how), sending);
    const disturbance = new Disturbance(cluster, subjects, sending, options, faults);
    await disturbance.run();

    const { histories, messages } = await stopAll(subjects, cluster.workers);
    return {
      histories,
      faults,
      kills: disturbance.kills,
      cuts: disturbance.cuts,
      drops: disturbance.drops,
      messages,
      moves: disturbance.moves,
      rawDisconnects: (await crowd?.disconnects()) ?? 0,
    };
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${cluster.output}`, { cause: error });
  } finally {
    for (const { client } of subjects) client.close();
    crowd?.close();
    await cluster.close();
  }
}

/** Drops connections, kills workers and cuts them off for a while, or replaces them. */
class Disturbance {
  readonly moves = noMoves();
  kills = 0;
  drops = 0;
  cuts = 0;
  readonly #cluster: TestCluster;
  readonly #subjects: readonly Subject[];
  readonly #sending: Sending;
  readonly #options: WorkloadOptions;
  readonly #faults: string[];

  constructor(
    cluster: TestCluster,
    subjects: readonly Subject[],
    sending: Sending,
    options: WorkloadOptions,
    faults: string[],
  ) {
    this.#cluster = cluster;
    this.#subjects = subjects;
    this.#sending = sending;
    this.#options = options;
    this.#faults = faults;
  }

  async run(): Promise<void> {
    const { seconds, killEveryMs, dropEveryMs, clients, cutsOff, reloads = 0 } = this.#options;
    if (reloads > 0) return this.#reload(reloads);
    const dropping = setInterval(() => this.#drop(), dropEveryMs / clients);
    const end = performance.now() + seconds * 1000;
    try {
      // By number, not by time: a slow machine takes longer to fork, and is not let off.
      for (let left = Math.floor((seconds * 1000) / killEveryMs) - 1; left > 0; left--) {
        await sleep(killEveryMs / 2);
        if (cutsOff) await this.#cutOff();
        await sleep(killEveryMs / 2);
        await this.#kill();
      }
      await sleep(Math.max(0, end - performance.now()));
    } finally {
      clearInterval(dropping);
    }
  }

  async #reload(times: number): Promise<void> {
    await this.#noteMemory();
    for (let left = times; left > 0; left--) {
      for (const worker of [...this.#cluster.workers]) await this.#replace(worker);
      await this.#noteMemory();
      this.#options.onReload?.(this.moves);
    }
    const { moveDuration } = await this.#cluster.primary.run((ctx) => ctx.router.stats());
    this.moves.freezeP50 = boundOf(moveDuration, 0.5);
    this.moves.freezeP99 = boundOf(moveDuration, 0.99);
  }

  async #noteMemory(): Promise<void> {
    const { primary, workers } = this.#cluster;
    const held = await Promise.all([
      primary.run(heldBytes),
      ...workers.map((worker) => worker.run(heldBytes)),
    ]);
    const journal = await primary.run((ctx) => ctx.hub.stats().recovery?.bytes ?? 0);
    this.moves.memory.push(held.reduce((sum, bytes) => sum + bytes, 0) - journal);
  }

  #drop(): void {
    const { client } = pick(this.#subjects);
    if (!client.socket.connected) return;
    this.drops++;
    // Half of them as their worker sees it at once, half so that it does not notice.
    if (Math.random() < 0.5) client.leave(this.#cluster.url);
    else client.desert(this.#cluster.url);
  }

  async #cutOff(): Promise<void> {
    const victim = pick(this.#cluster.workers);
    // What is in flight at the moment of the cut may come twice: that is not promised.
    await victim.run((ctx) => ctx.store.rest());
    const cut = new CutOff(victim);
    await sleep(CUT_OFF_MS);
    await cut.wake();
    await victim.run((ctx) => ctx.store.goOn());
    this.cuts++;
  }

  async #kill(): Promise<void> {
    const victim = pick(this.#cluster.workers);
    await victim.kill("SIGKILL");
    this.kills++;
    await this.#fork();
  }

  /** It sends until it is gone. */
  async #replace(old: RemoteWorker): Promise<void> {
    const successor = await this.#fork();
    await this.#cluster.untilJoined();
    const start = performance.now();
    const result = await this.#cluster.primary.run(
      (ctx, from, to, options) => ctx.router.retire({ id: from }, { id: to }, options),
      old.workerId,
      successor.workerId,
      { drainTimeout: STAY_MS, spread: SPREAD_MS },
    );
    this.moves.seconds += (performance.now() - start) / 1000;
    for (const what of ["moved", "lost", "closed"] as const) this.moves[what] += result[what];
    await old.run((ctx) => ctx.store.rest());
    await old.kill("SIGKILL");
  }

  async #fork(): Promise<RemoteWorker> {
    const fresh = await this.#cluster.fork();
    fresh.on("fault", (fault) => this.#faults.push(fault));
    await fresh.run((ctx, how) => ctx.store.send(how), this.#sending);
    return fresh;
  }
}

/** Runs in the process that is asked. */
async function heldBytes(ctx: Context): Promise<number> {
  const { setFlagsFromString } = await ctx.import("node:v8");
  const { runInNewContext } = await ctx.import("node:vm");
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The bound of the bucket in which that share of the durations is reached. */
function boundOf({ count, boundsMs, counts }: DurationStats, share: number): number {
  let below = 0;
  const bucket = counts.findIndex((durations) => {
    below += durations;
    return below >= count * share;
  });
  return boundsMs[bucket] ?? Number.POSITIVE_INFINITY;
}
