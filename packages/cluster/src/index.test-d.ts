/** What the compiler must accept and refuse of the public types. Checked by `tsc -b`, never run. */
import type { EventEmitter } from "node:events";
import { createServer } from "node:http";
import type { StickyWorker } from "@holdfast/sticky";
import { Server } from "socket.io";
import { expectTypeOf } from "vitest";
import {
  type Cluster,
  type ClusterEvents,
  type ClusterMember,
  type ClusterOptions,
  type ClusterStatus,
  type ExitReason,
  HoldfastError,
  type HoldfastErrorCode,
  type JoinOptions,
  joinCluster,
  type ListenAddress,
  type RebalanceResult,
  type ReloadProgress,
  type ReloadResult,
  type ScaleResult,
  type SlotState,
  type SlotStatus,
  type StopResult,
  startCluster,
  type WorkerExit,
} from "./index.js";

/** All that there is at run time; the rest of the names are types. */
export function values(): void {
  type Value = keyof typeof import("./index.js");
  expectTypeOf<Value>().toEqualTypeOf<"HoldfastError" | "startCluster" | "joinCluster">();
}

export function options(): void {
  startCluster({ worker: "./app.js" });
  startCluster({ worker: new URL("file:///app.js"), port: 0, host: "::1", workers: 2 });
  startCluster({ worker: "./app.js", server: createServer(), log: false, control: "/run/app.sock" });
  startCluster({ worker: "./app.js", sticky: { loadBalancingMethod: "hash" }, adapter: { link: "ipc" } });
  // @ts-expect-error: the file of the workers is required
  startCluster({});
  // @ts-expect-error: options, not the file alone
  startCluster("./app.js");
  // @ts-expect-error: no such option
  startCluster({ worker: "./app.js", instances: 2 });
  // @ts-expect-error: a number
  startCluster({ worker: "./app.js", port: "3000" });
  // @ts-expect-error: options of the router go into `sticky`
  startCluster({ worker: "./app.js", loadBalancingMethod: "hash" });
  // @ts-expect-error: the key is left out instead
  startCluster({ worker: "./app.js", name: undefined });
  // @ts-expect-error: false switches it off, nothing switches it on
  startCluster({ worker: "./app.js", log: true });
  expectTypeOf<ClusterOptions>().toHaveProperty("worker");
}

export function handle(cluster: Cluster): void {
  expectTypeOf(startCluster).returns.toEqualTypeOf<Promise<Cluster>>();
  expectTypeOf<Cluster>().toExtend<EventEmitter<ClusterEvents>>();
  expectTypeOf(cluster.reload()).toEqualTypeOf<Promise<ReloadResult>>();
  expectTypeOf(cluster.scale(2)).toEqualTypeOf<Promise<ScaleResult>>();
  expectTypeOf(cluster.rebalance()).toEqualTypeOf<Promise<RebalanceResult>>();
  expectTypeOf(cluster.stop({ timeout: 1_000 })).toEqualTypeOf<Promise<StopResult>>();
  expectTypeOf(cluster.status()).toEqualTypeOf<ClusterStatus>();
  expectTypeOf(cluster.status().slots).toEqualTypeOf<readonly SlotStatus[]>();
  expectTypeOf(cluster.address).toEqualTypeOf<ListenAddress | undefined>();
  expectTypeOf<SlotState>().toEqualTypeOf<"starting" | "ready" | "waiting" | "given-up" | "ending">();
  cluster.hub.emitter().emit("news");
  cluster.router.stats();
  // @ts-expect-error: how many?
  cluster.scale();
  // @ts-expect-error: a name is given at the start
  cluster.name = "other";
}

export function events(cluster: Cluster): void {
  cluster.on("worker:exit", (exit) => {
    expectTypeOf(exit).toEqualTypeOf<WorkerExit>();
    expectTypeOf(exit.reason).toEqualTypeOf<ExitReason>();
  });
  cluster.on("reload:progress", (progress) => expectTypeOf(progress).toEqualTypeOf<ReloadProgress>());
  cluster.on("failed", (error) => expectTypeOf(error).toEqualTypeOf<HoldfastError>());
  cluster.on("warning", (error) => expectTypeOf(error).toEqualTypeOf<Error>());
  // @ts-expect-error: no such event
  cluster.on("exit", () => {});
}

interface Events {
  hello: (name: string) => void;
}

/** Any Socket.IO server goes, whatever its event types are. */
export function worker(io: Server): void {
  const member = joinCluster(io);
  expectTypeOf(member).toEqualTypeOf<ClusterMember>();
  expectTypeOf(member.sticky).toEqualTypeOf<StickyWorker | undefined>();
  expectTypeOf(member.leave()).toEqualTypeOf<Promise<void>>();
  joinCluster(new Server<Events, Events>(createServer()), { onStop: async () => {} });
  joinCluster(io, { adapter: { requestsTimeout: 1 }, sticky: { name: "api" } });
  // @ts-expect-error: the Socket.IO server, not the one that it is attached to
  joinCluster(createServer());
  // @ts-expect-error: no such option
  joinCluster(io, { name: "api" });
  expectTypeOf<keyof JoinOptions>().toEqualTypeOf<"adapter" | "sticky" | "onStop">();
}

/** Codes are literals: a typing error in a comparison does not compile. */
export function errors(error: HoldfastError, unknown: unknown): void {
  expectTypeOf<string>().not.toExtend<HoldfastErrorCode>();
  expectTypeOf<HoldfastErrorCode>().toExtend<`HOLDFAST_ERR_${string}`>();
  if (unknown instanceof HoldfastError) expectTypeOf(unknown.code).toEqualTypeOf<HoldfastErrorCode>();
  // @ts-expect-error: no such code
  if (error.code === "HOLDFAST_ERR_CRASH") return;
}
