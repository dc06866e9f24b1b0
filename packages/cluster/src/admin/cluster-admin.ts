/**
 * The admin server of a cluster: what it tells of this one, and how its orders are carried out.
 * Owns: the server. Runs in: primary.
 */
import type { PrimaryStats as HubStats } from "@holdfast/adapter";
import { codeOf, HoldfastError, messageOf } from "../errors.js";
import type { ActionName } from "../live-status.js";
import { CONTENT_TYPE, expose } from "../metrics/exposition.js";
import type { Readings } from "../metrics/list.js";
import type { ReloadResult, ScaleResult } from "../reload.js";
import type { ClusterStatus } from "../status.js";
import type { ClusterWatch, WatchedCluster } from "../watch/cluster-watch.js";
import { type Action, AdminServer, BadOrder } from "./admin-server.js";

/** The cluster that is administered. */
export interface AdministeredCluster extends WatchedCluster {
  reload(): Promise<ReloadResult>;
  scale(workers: number): Promise<ScaleResult>;
  /** Replaces one worker; `undefined` if another one is there by then. */
  restart(slot: number, workerId: number): Promise<ReloadResult | undefined>;
}

export interface AdminPlace {
  readonly port: number;
  readonly host: string;
  readonly token: string | undefined;
}

const MAX_WORKERS = 512;

export class ClusterAdmin {
  readonly #server: AdminServer;

  private constructor(server: AdminServer) {
    this.#server = server;
  }

  /** @throws {HoldfastError} `HOLDFAST_ERR_LISTEN` */
  static async open(
    cluster: AdministeredCluster,
    watch: ClusterWatch,
    place: AdminPlace,
    onError: (error: Error) => void,
  ): Promise<ClusterAdmin> {
    const source = {
      status: () => watch.status(),
      unready: () => reasons(cluster.status(), cluster.hub.stats()),
      metrics: async () => ({
        type: CONTENT_TYPE,
        text: expose(readingsOf(cluster)),
      }),
      actions: actionsOf(cluster, watch),
    };
    try {
      return new ClusterAdmin(await AdminServer.open(source, { ...place, onError }));
    } catch (error) {
      const { host, port } = place;
      const text =
        `The admin server cannot listen on port ${port} of ${host}: ${messageOf(error)}. Choose another place with ` +
        'the option "admin".';
      throw new HoldfastError("HOLDFAST_ERR_LISTEN", text, { cause: error });
    }
  }

  get url(): string {
    return this.#server.url;
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}

function readingsOf(cluster: AdministeredCluster): Readings {
  const status = cluster.status();
  return {
    hub: cluster.hub.stats(),
    router: cluster.router.stats(),
    cluster: status,
    primary: status.sample,
  };
}

/** Why connections are not taken now. */
function reasons({ state, slots }: ClusterStatus, { members, hosts }: HubStats): string[] {
  if (state === "starting") return ["The cluster starts."];
  if (state !== "running") return ["The cluster is stopping."];
  if (!slots.some((slot) => slot.state === "ready")) return ["No worker is ready."];
  if (members.length === 0) return ["No worker has joined the hub."];
  if (hosts?.state === "alone") return ["The other hosts cannot be reached: Redis does not answer."];
  return [];
}

function actionsOf(cluster: AdministeredCluster, watch: ClusterWatch): Readonly<Record<ActionName, Action>> {
  const begin = (text: string, order: () => Promise<unknown>) => {
    const { state, reload } = cluster.status();
    if (state !== "running") throw new BadOrder(409, `The cluster is ${state}, and takes no orders.`);
    if (reload) throw new BadOrder(409, "A reload is going on. Wait for its end.");
    watch.note({ kind: "order", health: "good", text: `Ordered in the dashboard: ${text}.` });
    // Whoever looks is told by the cluster's events; this is for what has none.
    order().catch((error: unknown) => {
      if (codeOf(error) === "HOLDFAST_ERR_CLOSED") return;
      watch.note({ kind: "order", health: "bad", text: "An order has failed.", detail: messageOf(error) });
    });
  };
  return {
    reload: () => {
      begin("a reload", () => cluster.reload());
      return "The reload has begun.";
    },
    scale: ({ workers }) => {
      if (!isIn(workers, 1, MAX_WORKERS))
        throw new BadOrder(400, `"workers" must be an integer from 1 to ${MAX_WORKERS}.`);
      const before = cluster.status().slots.length;
      begin(`${workers} workers instead of ${before}`, () => cluster.scale(workers));
      return workers === before
        ? "That is how many there are."
        : `From ${before} to ${workers} workers: it has begun.`;
    },
    restart: ({ slot, workerId }) => {
      const place = cluster.status().slots.find((each) => each.slot === slot);
      if (!place || !isIn(workerId, 1, Number.MAX_SAFE_INTEGER)) {
        throw new BadOrder(400, '"slot" and "workerId" must name a worker.');
      }
      if (place.workerId !== workerId)
        throw new BadOrder(409, `Another worker is in slot ${place.slot} by now.`);
      begin(`a new worker ${place.slot}`, () => cluster.restart(place.slot, workerId));
      return `A new process is started for worker ${place.slot}.`;
    },
  };
}

function isIn(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}
