/**
 * The recovery workload: workers send numbered messages to rooms while clients lose their connections and workers
 * are killed, or replaced while their sessions move. Records what every client got; {@link check} of the harness judges. Runs in: tests.
 */
import { within } from "@holdfast/harness";
import type { Sending } from "../fixtures/recovery-node.js";
import { type RemoteWorker, TestCluster } from "../harness/cluster.js";
import { CutOff } from "../harness/cut-off.js";
import type { ClientHistory, Connect, Message } from "../harness/history-check.js";
import { RecoveringClient } from "../harness/recovering-client.js";

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
}

interface Moves {
  moved: number;
  lost: number;
  closed: number;
}

const ROOMS_PER_CLIENT = 4;
const SETTLE_MS = 60_000;
const CUT_OFF_MS = 300;
/** How long a client on long-polling may stay with a worker that is replaced. */
const STAY_MS = 500;
const SPREAD_MS = 100;
/** Of the clients, in turn. */
export const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];
const EPOCH_CHARS = 4;

/** One client with its history. */
class Subject {
  readonly client: RecoveringClient;
  readonly history: { client: string; rooms: string[]; events: (Message | Connect)[] };
  /** Senders whose last message has arrived. */
  readonly ended = new Set<string>();

  constructor(url: string, name: string, rooms: string[], transports: string[]) {
    this.history = { client: name, rooms: [`@${name}`, ...rooms], events: [] };
    this.client = new RecoveringClient(url, {
      transports,
      auth: { name, rooms },
      reconnectionDelay: 5,
      reconnectionDelayMax: 200,
    });
    const { socket } = this.client;
    socket.on("connect", () => this.history.events.push({ type: "connect", recovered: socket.recovered }));
    // Before the client's own bookkeeping, which cuts the offset off.
    socket.on("m", (sender: string, number: number, room: string | null, offset: string) => {
      if (room === null) this.ended.add(sender);
      const place = Number.parseInt(offset.slice(EPOCH_CHARS), 36);
      this.history.events.push({ type: "message", sender, number, room: room ?? undefined, place });
    });
  }
}

function isUpgraded({ client }: Subject, number: number): boolean {
  const last = TRANSPORTS[number % TRANSPORTS.length]?.at(-1);
  return client.socket.io.engine.transport.name === last;
}

export async function runWorkload(options: WorkloadOptions): Promise<WorkloadResult> {
  const { workers, rate, clients, rooms: roomCount } = options;
  const cluster = await TestCluster.start({
    workers,
    moves: true,
    io: { connectionStateRecovery: { skipMiddlewares: !options.cutsOff } },
    hubOptions: { link: options.link ?? "pipe" },
    workerModule: new URL("../../dist/fixtures/recovery-node.js", import.meta.url).href,
  });
  const faults: string[] = [];
  const rooms = Array.from({ length: roomCount }, (_, i) => `room ${i}`);
  const sending: Sending = { perSecond: rate / workers, rooms };
  const subjects: Subject[] = [];
  try {
    for (const worker of cluster.workers) worker.on("fault", (fault) => faults.push(fault));
    for (let i = 0; i < clients; i++) {
      const own = Array.from(
        { length: ROOMS_PER_CLIENT },
        (_, k) => rooms[(i * ROOMS_PER_CLIENT + k) % roomCount] as string,
      );
      const transports = TRANSPORTS[i % TRANSPORTS.length] as string[];
      subjects.push(new Subject(cluster.url, `c${i}`, own, transports));
    }
    await until(() => subjects.every(({ history }) => history.events.length >= 2), "all clients");
    for (const worker of cluster.workers) await worker.run((ctx, how) => ctx.store.send(how), sending);

    if (options.reloads) await until(() => subjects.every(isUpgraded), "all upgrades");
    const disturbance = new Disturbance(cluster, subjects, sending, options, faults);
    await disturbance.run();

    await until(() => subjects.every(({ client }) => client.socket.connected), "all clients again");
    const senders: string[] = [];
    for (const worker of cluster.workers)
      senders.push((await worker.run((ctx) => ctx.store.stop())) as string);
    const isComplete = ({ ended }: Subject) => senders.every((sender) => ended.has(sender));
    await until(() => subjects.every(isComplete), "the last message at every client");
    const histories = subjects.map(({ history }) => history);
    const messages = new Set(
      histories.flatMap(({ events }) =>
        events.flatMap((event) => (event.type === "message" ? event.place : [])),
      ),
    ).size;
    return {
      histories,
      faults,
      kills: disturbance.kills,
      cuts: disturbance.cuts,
      drops: disturbance.drops,
      messages,
      moves: disturbance.moves,
    };
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${cluster.output}`, { cause: error });
  } finally {
    for (const { client } of subjects) client.close();
    await cluster.close();
  }
}

/** Drops connections, kills workers and cuts them off for a while, or replaces them. */
class Disturbance {
  readonly moves: Moves = { moved: 0, lost: 0, closed: 0 };
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
    for (let left = reloads; left > 0; left--) {
      for (const worker of [...this.#cluster.workers]) await this.#replace(worker);
    }
    if (reloads > 0) return;
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
    const result: Moves = await this.#cluster.primary.run(
      (ctx, from, to, options) => ctx.router.retire({ id: from }, { id: to }, options),
      old.workerId,
      successor.workerId,
      { drainTimeout: STAY_MS, spread: SPREAD_MS },
    );
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

function pick<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)] as T;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Looks every now and then: the clients live in this process, there is nothing else to wait for. */
async function until(condition: () => boolean, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const met = new Promise<void>((resolve) => {
    timer = setInterval(() => condition() && resolve(), 20);
  });
  try {
    await within(met, what, SETTLE_MS);
  } finally {
    clearInterval(timer);
  }
}
