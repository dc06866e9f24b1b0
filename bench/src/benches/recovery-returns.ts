/**
 * Question: what does it cost the primary when clients come back?
 * One client comes back again and again with an old offset; and 2,000 come back at once after SIGKILL of their worker,
 * with and without a full journal of packets that are for others.
 */
import type { RemoteProcess, RemoteProgram } from "@holdfast/harness";
import type { Bench, Case, Sample, Session } from "../lib/bench.js";
import { adapterSetup } from "../lib/contestants.js";
import { cpuDuring } from "../lib/cpu.js";
import type { Lab } from "../lib/lab.js";
import type { Standstill } from "../lib/usage.js";
import type { Returns } from "../load/returners.js";
import type { NodeConfig } from "../nodes/config.js";
import { differs } from "./judge.js";

const CONTESTANT = "holdfast-recovery";
const RETURNS = 1_000;
const CLIENTS = 2_000;
/** More than a journal of 64 MiB holds. */
const OTHERS = 700_000;
const MISSED = 5;
/** Milliseconds of the primary: for a restored session above a new one, and in one turn of its event loop. */
const RESTORE_AT_MOST = 0.2;
const BLOCK_AT_MOST = 50;

/** A cluster of three workers with clients that have got one event each. */
class Returning {
  readonly #program: RemoteProgram;
  readonly #load: RemoteProgram;

  private constructor(program: RemoteProgram, load: RemoteProgram) {
    this.#program = program;
    this.#load = load;
  }

  static async open(lab: Lab, clients: number, others: number): Promise<Returning> {
    const config: NodeConfig = {
      setup: adapterSetup(CONTESTANT),
      workers: 3,
      scenario: "returns",
      listen: "own",
      survives: true,
      options: {},
    };
    const program = await lab.start("nodes/cluster", config, 4);
    const load = await lab.start("nodes/load", {}, 1);
    const session = new Returning(program, load);
    await session.#clients.call("bringIn", session.first.port, clients);
    await session.sender.call("tell", 1, 1);
    await session.#clients.call("haveAll", 1);
    await session.sender.call("tellOthers", others);
    return session;
  }

  get primary(): RemoteProcess {
    if (!this.#program.primary) throw new Error("a cluster has a primary");
    return this.#program.primary;
  }

  /** The worker of the clients, the one that they come back to, and the one that emits. */
  get first(): RemoteProcess {
    return this.#program.worker(0);
  }

  get #clients(): RemoteProcess {
    return this.#load.worker(0);
  }

  get sender(): RemoteProcess {
    return this.#program.worker(this.#program.workers.length - 1);
  }

  /** CPU of the primary for each return of one client, and for each new session, milliseconds. */
  async one(): Promise<Sample> {
    const { port } = this.#program.worker(1);
    let recovered = 0;
    const returns = await cpuDuring(this.#program, async () => {
      recovered = await this.#clients.call<number>("comeBackAgain", port, RETURNS);
    });
    const fresh = await cpuDuring(this.#program, async () => {
      await this.#clients.call("comeAndGo", port, RETURNS);
    });
    const [perReturn, perFresh] = [returns, fresh].map((cpu) => cpu.of(this.primary) / RETURNS / 1000);
    const [returned, newcomer] = [perReturn ?? Number.NaN, perFresh ?? Number.NaN];
    const values = { returned, fresh: newcomer, restore: returned - newcomer };
    return { values, failures: differs("returns", recovered, RETURNS) };
  }

  /** All clients come back after the end of their worker. */
  async many(): Promise<Sample> {
    const to = this.#program.worker(1);
    await this.first.kill("SIGKILL");
    await this.sender.call("tell", 2, MISSED);
    await this.primary.call("watchLoop");
    const start = performance.now();
    let report: Returns | undefined;
    const cpu = await cpuDuring(this.#program, async () => {
      await this.#clients.call("comeBack", to.port);
      report = await this.#clients.call<Returns>("haveAll", 1 + MISSED);
    });
    const seconds = (performance.now() - start) / 1000;
    const { wall, cpu: block } = await this.primary.call<Standstill>("longestStandstill");
    const failures = [
      ...differs("clients with their sessions", report?.recovered ?? 0, CLIENTS),
      ...differs("events lost or doubled", report?.wrong ?? 0, 0),
    ];
    const returned = cpu.of(this.primary) / CLIENTS / 1000;
    return { values: { returned, block, wall, seconds }, failures };
  }

  async close(): Promise<void> {
    await Promise.all([this.#program.close(), this.#load.close()]);
  }
}

function one(title: string, others: number): Case {
  return {
    title,
    contestants: [CONTESTANT],
    comparisons: [{ of: CONTESTANT, measure: "restore", atMost: RESTORE_AT_MOST }],
    open: async (lab) => {
      const session = await Returning.open(lab, 1, others);
      return { sample: () => session.one(), close: () => session.close() };
    },
  };
}

/** Each sample has a cluster of its own, whose worker ends. */
function many(title: string, others: number): Case {
  return {
    title,
    contestants: [CONTESTANT],
    comparisons: [{ of: CONTESTANT, measure: "block", atMost: BLOCK_AT_MOST }],
    open: async (lab): Promise<Session> => ({
      sample: async () => {
        const session = await Returning.open(lab, CLIENTS, others);
        try {
          return await session.many();
        } finally {
          await session.close();
        }
      },
      close: async () => {},
    }),
  };
}

export const recoveryReturns: Bench = {
  name: "recovery-returns",
  title: "Clients that come back",
  question: "What does it cost the primary when clients come back?",
  method: [
    "3 workers without a router; clients are in 22 rooms. A full journal holds 64 MiB of packets to 1,000 rooms that none of them is in.",
    "One client: it comes back 1,000 times, one after the other, with the offset from before all of these packets, and 1,000 new clients come and go. The CPU of the primary for a return should be at most 0.2 ms above that for a new session.",
    "2,000 clients: their worker is killed with SIGKILL, 5 events are emitted to all of them, and they come back to another worker at once. Each must get its session and these 5 events. The event loop of the primary should never be busy for more than 50 ms.",
    "All processes and the load generator share two cores: what the event loop stands still by the clock is mostly the wait for one of them, so the processor time in between is told as well.",
  ],
  measures: [
    { key: "returned", title: "CPU of the primary per return", unit: "ms", better: "lower" },
    { key: "fresh", title: "CPU of the primary per new session", unit: "ms", better: "lower" },
    { key: "restore", title: "of which for the restored session", unit: "ms", better: "lower" },
    {
      key: "block",
      title: "longest work of the primary between two looks at its event loop",
      unit: "ms",
      better: "lower",
    },
    { key: "wall", title: "longest stand-still of the primary's event loop", unit: "ms", better: "lower" },
    { key: "seconds", title: "until the last client has everything", unit: "s", better: "lower" },
  ],
  runsAtMost: 3,
  cases: () => [
    one("one client, empty journal", 0),
    one("one client, full journal", OTHERS),
    many("2,000 clients, empty journal", 0),
    many("2,000 clients, full journal", OTHERS),
  ],
};
