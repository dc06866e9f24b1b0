/**
 * One contestant as a router of connections, with a load generator beside it. Shared by the sticky benches.
 * Socket.IO's own adapter throughout, 3 workers. Runs in: the bench.
 */
import { freePort, type RemoteProcess, type RemoteProgram } from "@holdfast/harness";
import { routerSetup } from "../lib/contestants.js";
import { type CpuUse, cpuDuring } from "../lib/cpu.js";
import type { Lab } from "../lib/lab.js";
import type { NodeConfig } from "../nodes/config.js";
import { portsOf } from "./judge.js";

export const ROUTER_WORKERS = 3;

export class RouterSession {
  readonly program: RemoteProgram;
  readonly port: number;
  readonly #load: RemoteProgram;

  private constructor(program: RemoteProgram, load: RemoteProgram, port: number) {
    this.program = program;
    this.#load = load;
    this.port = port;
  }

  static async open(lab: Lab, contestant: string): Promise<RouterSession> {
    const setup = routerSetup(contestant);
    const workers = setup.router ? ROUTER_WORKERS : 1;
    const config: NodeConfig = {
      setup,
      workers,
      scenario: "network",
      listen: "shared",
      ...(setup.port === "reuse-port" && { port: await freePort() }),
      options: {},
    };
    const program = await lab.start("nodes/cluster", config, setup.router ? workers + 1 : 1);
    const load = await lab.start("nodes/load", {}, 1);
    const [port = 0] = portsOf(program);
    return new RouterSession(program, load, port);
  }

  get load(): RemoteProcess {
    return this.#load.worker(0);
  }

  /** CPU of primary and whole cluster while `work` runs. */
  async measure(work: () => Promise<void>): Promise<{ primary: number; cluster: number }> {
    const cpu: CpuUse = await cpuDuring(this.program, work);
    const { primary, processes } = this.program;
    return { primary: primary ? cpu.of(primary) : Number.NaN, cluster: cpu.of(...processes) };
  }

  async close(): Promise<void> {
    await Promise.all([this.program.close(), this.#load.close()]);
  }
}
