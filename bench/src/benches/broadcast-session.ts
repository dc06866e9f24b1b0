/**
 * One contestant under broadcasts from its first worker: emits for a while, waits until all has arrived,
 * checks it, and divides the CPU time of each process by what was done. Shared by the adapter benches
 * whose clients have no network. Runs in: the bench.
 */
import type { RemoteProcess, RemoteProgram } from "@holdfast/harness";
import type { Measure, Sample, Session } from "../lib/bench.js";
import { adapterSetup } from "../lib/contestants.js";
import { cpuDuring } from "../lib/cpu.js";
import type { Lab } from "../lib/lab.js";
import { sum } from "../lib/stats.js";
import type { NodeConfig } from "../nodes/config.js";
import type { BroadcastOptions } from "../scenarios/broadcast.js";
import type { Pace } from "../scenarios/emitter.js";
import type { Received } from "../scenarios/receiver.js";

export interface Work {
  readonly workers: number;
  readonly options: BroadcastOptions;
  readonly pace: Pace;
  /** Emitted once before everything else, so that the code is as hot as in a server that has run for a while. */
  readonly warmUp?: Pace;
}

export const BROADCAST_MEASURES: readonly Measure[] = [
  { key: "primary", title: "CPU of the primary per emit", unit: "µs", better: "lower" },
  { key: "hop", title: "CPU of the primary per delivery to another worker", unit: "µs", better: "lower" },
  { key: "emitter", title: "CPU of the emitter per emit", unit: "µs", better: "lower" },
  { key: "receiver", title: "CPU of a receiver per delivery", unit: "µs", better: "lower" },
  { key: "cluster", title: "CPU of the whole cluster per emit", unit: "µs", better: "lower" },
  { key: "rate", title: "deliveries per second", unit: "/s", better: "higher" },
];

/** After this code is as hot as in a server that has run for a while. */
export const WARM_UP_MS = 1500;
/** How long what was emitted may take to arrive. */
const DRAIN_MS = 5_000;

export async function openBroadcast(
  lab: Lab,
  contestant: string,
  work: Work,
  redisPort?: number,
): Promise<Session & { readonly program: RemoteProgram }> {
  const raw = contestant === "raw";
  const alone = contestant === "in-memory";
  const config: NodeConfig = {
    setup: adapterSetup(raw ? "in-memory" : contestant, redisPort),
    workers: alone ? 1 : work.workers,
    scenario: "broadcast",
    listen: "none",
    options: work.options,
  };
  const program = await lab.start(raw ? "nodes/raw" : "nodes/cluster", config, config.workers + 1);
  const meter = new BroadcastMeter(partiesOf(program), work);
  await meter.warmUp();
  return { program, sample: () => meter.sample(), close: () => program.close() };
}

/** Who is measured: the processes of a cluster, or of all hosts. */
export interface Parties {
  readonly processes: readonly RemoteProcess[];
  readonly primaries: readonly RemoteProcess[];
  /** Those with members of rooms; the first of them emits. */
  readonly workers: readonly RemoteProcess[];
}

function partiesOf({ processes, primary, workers }: RemoteProgram): Parties {
  return { processes, primaries: primary ? [primary] : [], workers };
}

export class BroadcastMeter {
  readonly #parties: Parties;
  readonly #emitter: RemoteProcess;
  readonly #work: Work;
  /** Number of the last event of the windows before. */
  #last = 0;
  readonly #seen: number[];

  constructor(parties: Parties, work: Work) {
    const { workers } = parties;
    const [emitter] = workers;
    if (!emitter) throw new Error("nobody emits");
    this.#parties = parties;
    this.#emitter = emitter;
    this.#work = work;
    this.#seen = workers.map(() => 0);
    let slowest = 0;
    workers.forEach((worker, i) => {
      worker.on("received", (sequence: number) => {
        this.#seen[i] = sequence;
        const minimum = Math.min(...this.#seen);
        if (minimum <= slowest) return;
        slowest = minimum;
        emitter.notify("acknowledged", minimum);
      });
    });
  }

  /** Events of a worker are `step` apart: 1, or W where each room is on one worker. */
  get #step(): number {
    return this.#work.options.rooms === 1 ? 1 : this.#work.workers;
  }

  async #expect(): Promise<void> {
    const ackEvery = Math.max(1, Math.floor(this.#work.pace.window / 8 / this.#step));
    await Promise.all(
      this.#parties.workers.map((worker, i) =>
        worker.call("expect", this.#last + (this.#step === 1 ? 1 : i + 1), this.#step, ackEvery),
      ),
    );
  }

  async warmUp(): Promise<void> {
    await this.#expect();
    const { warmUp } = this.#work;
    if (!warmUp) return;
    ({ last: this.#last } = await this.#emitter.call<{ last: number }>("emit", warmUp));
    const { workers } = this.#parties;
    await Promise.all(workers.map((worker, i) => worker.call("until", this.#lastOf(i), DRAIN_MS)));
    this.#emitter.notify("acknowledged", this.#last);
  }

  async sample(): Promise<Sample> {
    const { processes, workers, primaries } = this.#parties;
    const emitter = this.#emitter;
    const receivers = workers.slice(1);
    const failures: string[] = [];
    const before = this.#last;
    let emitted = 0;
    let seconds = 0;
    await this.#expect();
    const cpu = await cpuDuring(this.#parties, async () => {
      const start = performance.now();
      ({ emitted, last: this.#last } = await emitter.call<{ emitted: number; last: number }>(
        "emit",
        this.#work.pace,
      ));
      const arrived = await Promise.all(
        workers.map((worker, i) => worker.call<Received>("until", this.#lastOf(i), DRAIN_MS)),
      );
      seconds = (performance.now() - start) / 1000;
      arrived.forEach((received, i) => {
        failures.push(...this.#judge(i, before, received));
      });
    });
    emitter.notify("acknowledged", this.#last);
    const deliveries = this.#step === 1 ? emitted * workers.length : emitted;
    const hops = this.#step === 1 ? emitted * receivers.length : emitted - emitted / workers.length;
    const perReceiver = this.#step === 1 ? hops : emitted - emitted / workers.length;
    return {
      failures,
      values: {
        primary: primaries.length > 0 ? cpu.of(...primaries) / emitted : Number.NaN,
        hop: primaries.length > 0 && hops > 0 ? cpu.of(...primaries) / hops : Number.NaN,
        emitter: cpu.of(emitter) / emitted,
        receiver: hops > 0 ? sum(receivers.map((worker) => cpu.of(worker))) / perReceiver : Number.NaN,
        cluster: cpu.of(...processes) / emitted,
        rate: deliveries / seconds,
        emitted,
      },
    };
  }

  /** Number of the last event that is for the worker at `place`. */
  #lastOf(place: number): number {
    const behind = (this.#last - 1 - place) % this.#step;
    return this.#step === 1 ? this.#last : this.#last - behind;
  }

  #judge(place: number, before: number, { count, wrong, attachments }: Received): string[] {
    const who = `worker ${place + 1}`;
    const failures: string[] = [];
    const last = this.#lastOf(place);
    const expected = this.#step === 1 ? last - before : Math.ceil((last - before) / this.#step);
    if (count !== expected) failures.push(`${who}: ${count} of ${expected} events arrived`);
    if (wrong > 0) failures.push(`${who}: ${wrong} events out of order, doubled or damaged`);
    if (this.#work.options.payload.kind === "buffer" && attachments !== count) {
      failures.push(`${who}: ${attachments} attachments of ${count} events`);
    }
    return failures;
  }
}
