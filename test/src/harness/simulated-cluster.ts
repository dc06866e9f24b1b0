/** The admin server over a cluster that is simulated. Owns: the server. Runs in: tests, screenshots. */
import type { LiveStatus } from "@holdfast/cluster/live-status";
import {
  AdminServer,
  type AdminServerOptions,
  type AdminSource,
} from "../../../packages/cluster/dist/admin/admin-server.js";
import { type Simulation, simulateStatus } from "./simulated-status.js";

/** Without it, nothing can be ordered. */
export const TOKEN = "open-sesame-1234";

export class SimulatedCluster {
  /** What is simulated; may be changed at any time. */
  simulation: Simulation;
  /** What is said otherwise than simulated. */
  change: (status: LiveStatus) => LiveStatus = (status) => status;
  /** Seconds that the cluster seems to have run. */
  tick = 0;
  /** Orders that came, with what came along. */
  readonly orders: [name: string, parameters: object][] = [];
  /** Why it is not ready. */
  unready: string[] = [];
  #admin: AdminServer | undefined;

  constructor(simulation: Simulation = {}) {
    this.simulation = simulation;
  }

  /** Opens the server, at the same port as before if it was open. */
  async open(options: Partial<AdminServerOptions> = {}): Promise<string> {
    const order = (name: string, says: string) => (parameters: object) => {
      this.orders.push([name, parameters]);
      return says;
    };
    const source: AdminSource = {
      status: () => this.status(),
      unready: () => this.unready,
      metrics: async () => ({ type: "text/plain; version=0.0.4", text: "holdfast_workers 4\n" }),
      actions: {
        reload: order("reload", "The reload has begun."),
        scale: order("scale", "Two workers are started."),
        restart: order("restart", "A new worker takes its place."),
      },
    };
    this.#admin = await AdminServer.open(source, {
      port: 0,
      host: "127.0.0.1",
      token: TOKEN,
      onError: (error) => {
        throw error;
      },
      ...options,
    });
    return this.#admin.url;
  }

  status(): LiveStatus {
    return this.change(simulateStatus(this.simulation, this.tick++));
  }

  async close(): Promise<void> {
    await this.#admin?.close();
    this.#admin = undefined;
  }
}
