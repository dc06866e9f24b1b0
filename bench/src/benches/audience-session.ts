/**
 * One contestant with real WebSocket clients that listen to broadcasts of its first worker. Shared by the
 * adapter benches with a network. Runs in: the bench.
 */

import type { RemoteProgram } from "@holdfast/harness";
import { adapterSetup } from "../lib/contestants.js";
import { type CpuUse, cpuDuring } from "../lib/cpu.js";
import type { Lab } from "../lib/lab.js";
import type { AudienceReport } from "../load/audience.js";
import type { NodeConfig } from "../nodes/config.js";
import type { RawClientsConfig } from "../nodes/raw-clients.js";
import type { Pace } from "../scenarios/emitter.js";
import { differs, portsOf } from "./judge.js";

export interface Hall {
  readonly contestant: string;
  readonly workers: number;
  readonly clients: number;
  /** "own": each worker on its own port, clients spread evenly. "shared": spread by node:cluster. */
  readonly listen: "own" | "shared";
  readonly redisPort?: number | undefined;
}

/** What one window gave. */
export interface Heard {
  readonly emitted: number;
  readonly seconds: number;
  readonly cpu: CpuUse;
  readonly report: AudienceReport;
  readonly failures: string[];
}

const RAW = "raw-clients";
const DRAIN_MS = 5_000;

/** The control is one process: what it does costs the same in one or in many. */
function startServer(lab: Lab, hall: Hall): Promise<RemoteProgram> {
  if (hall.contestant.startsWith(RAW)) {
    const config: RawClientsConfig = { joins: hall.contestant !== RAW };
    return lab.start("nodes/raw-clients", config, 1);
  }
  const config: NodeConfig = {
    setup: adapterSetup(hall.contestant, hall.redisPort),
    workers: hall.workers,
    scenario: "network",
    listen: hall.listen,
    options: {},
  };
  return lab.start("nodes/cluster", config, hall.workers + 1);
}

export class AudienceSession {
  readonly program: RemoteProgram;
  readonly ports: number[];
  readonly #hall: Hall;
  readonly #load: RemoteProgram;
  #last = 0;

  private constructor(hall: Hall, program: RemoteProgram, load: RemoteProgram, ports: number[]) {
    this.#hall = hall;
    this.program = program;
    this.#load = load;
    this.ports = ports;
    const emitter = program.worker(0);
    load.worker(0).on("received", (sequence) => emitter.notify("acknowledged", sequence));
  }

  static async open(lab: Lab, hall: Hall): Promise<AudienceSession> {
    const program = await startServer(lab, hall);
    const load = await lab.start("nodes/load", {}, 1);
    const ports = portsOf(program);
    await load.worker(0).call("gather", ports, hall.clients);
    return new AudienceSession(hall, program, load, ports);
  }

  async hear(pace: Pace, timed: boolean): Promise<Heard> {
    const load = this.#load.worker(0);
    await load.call("listen", this.#last + 1, timed);
    let emitted = 0;
    let report: AudienceReport | undefined;
    const start = performance.now();
    const cpu = await cpuDuring(this.program, async () => {
      const run = await this.program.worker(0).call<{ emitted: number; last: number }>("emit", pace);
      ({ emitted, last: this.#last } = run);
      report = await load.call<AudienceReport>("heard", emitted, DRAIN_MS);
    });
    const seconds = (performance.now() - start) / 1000;
    if (!report) throw new Error("unreachable: the window has ended");
    const failures = [
      ...differs("deliveries", report.deliveries, emitted * this.#hall.clients),
      ...differs("events out of order or doubled", report.wrong, 0),
      ...differs("connections closed", report.closed, 0),
    ];
    return { emitted, seconds, cpu, report, failures };
  }

  async close(): Promise<void> {
    await Promise.all([this.program.close(), this.#load.close()]);
  }
}
