/**
 * One contestant as a router of connections, with a load generator beside it. Shared by the sticky benches.
 * Socket.IO's own adapter throughout, 3 workers. Runs in: the bench.
 */
import { routerSetup } from "../lib/contestants.js";
import { type CpuUse, cpuDuring } from "../lib/cpu.js";
import type { Group, Lab, RemoteProcess } from "../lib/lab.js";
import type { NodeConfig } from "../nodes/config.js";
import { portsOf } from "./judge.js";

export const ROUTER_WORKERS = 3;

export class RouterSession {
  readonly group: Group;
  readonly port: number;
  readonly #load: Group;

  private constructor(group: Group, load: Group, port: number) {
    this.group = group;
    this.#load = load;
    this.port = port;
  }

  static async open(lab: Lab, contestant: string): Promise<RouterSession> {
    const setup = routerSetup(contestant);
    const workers = setup.router ? ROUTER_WORKERS : 1;
    const config: NodeConfig = { setup, workers, scenario: "network", listen: "shared", options: {} };
    const group = await lab.start("nodes/cluster", config, setup.router ? workers + 1 : 1);
    const load = await lab.start("nodes/load", {}, 1);
    const [port = 0] = await portsOf(group);
    return new RouterSession(group, load, port);
  }

  get load(): RemoteProcess {
    return this.#load.at(0);
  }

  /** CPU of primary and whole cluster while `work` runs. */
  async measure(work: () => Promise<void>): Promise<{ primary: number; cluster: number }> {
    const cpu: CpuUse = await cpuDuring(this.group, work);
    const { primary, members } = this.group;
    return { primary: primary ? cpu.of(primary) : Number.NaN, cluster: cpu.of(...members) };
  }

  async close(): Promise<void> {
    await Promise.all([this.group.close(), this.#load.close()]);
  }
}
