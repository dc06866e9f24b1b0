/** What the compiler must accept and refuse of the public types. Checked by `tsc -b`, never run. */
import type { Worker } from "node:cluster";
import type { EventEmitter } from "node:events";
import { createServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createNetServer, type Server as NetServer } from "node:net";
import { Server } from "socket.io";
import { expectTypeOf } from "vitest";
import {
  type ConnectionInfo,
  type DrainOptions,
  type ForwardedHeader,
  HoldfastError,
  type HoldfastErrorCode,
  type LoadBalancingMethod,
  type MoveResult,
  type MoveStats,
  type PrimaryEvents,
  type PrimaryOptions,
  type PrimaryStats,
  type RefusalReason,
  type SessionStats,
  type SocketIoServer,
  type StickyPrimary,
  type StickyWorker,
  setupMaster,
  setupPrimary,
  setupWorker,
  type WorkerEvents,
  type WorkerInfo,
  type WorkerOptions,
  type WorkerProcessStats,
  type WorkerStats,
} from "./index.js";

interface Events {
  hello: (name: string) => void;
}
interface Data {
  user: string;
}

/** All that there is at run time; the rest of the names are types. */
export function values(): void {
  type Value = keyof typeof import("./index.js");
  expectTypeOf<Value>().toEqualTypeOf<"HoldfastError" | "setupMaster" | "setupPrimary" | "setupWorker">();
}

/** The server that listens: HTTP or bare TCP. */
export function primaryServer(server: NetServer): void {
  setupPrimary(createServer());
  setupPrimary(createNetServer());
  setupPrimary(server);
  // Refused when it runs, with the cure in the text: by type, an https.Server is a net.Server.
  setupPrimary(createHttpsServer());
  // @ts-expect-error: the server comes first
  setupPrimary();
  // @ts-expect-error: the server, not its port
  setupPrimary(3000);
  // @ts-expect-error: the Socket.IO server is for setupWorker()
  setupPrimary(new Server());
  expectTypeOf(setupPrimary).parameters.toEqualTypeOf<[NetServer, (PrimaryOptions | undefined)?]>();
  expectTypeOf(setupPrimary).returns.toEqualTypeOf<StickyPrimary>();
}

/** The name that code written for `@socket.io/sticky` calls. */
export function alias(server: NetServer): void {
  expectTypeOf(setupMaster).toEqualTypeOf<typeof setupPrimary>();
  setupMaster(server, { loadBalancingMethod: "least-connection" });
  // @ts-expect-error: the alias is as strict
  setupMaster(server, { loadBalancingMethod: "least-connections" });
}

export function primaryOptions(server: NetServer): void {
  setupPrimary(server, {});
  setupPrimary(server, {
    loadBalancingMethod: "hash",
    name: "api",
    headTimeout: 1_000,
    maxHeadSize: 4_096,
    maxPendingConnections: 100,
    workerTimeout: 0,
    proxyProtocol: true,
    trustedProxies: ["10.0.0.0/8"],
    forwardedHeader: "forwarded",
    ipv6PrefixLength: 48,
    selectWorker: () => undefined,
  });
  const proxies: readonly string[] = ["::1"];
  setupPrimary(server, { trustedProxies: proxies });
  // @ts-expect-error: no such option
  setupPrimary(server, { loadBalancing: "hash" });
  // @ts-expect-error: no such method
  setupPrimary(server, { loadBalancingMethod: "least-connections" });
  // @ts-expect-error: any string is not one of them
  setupPrimary(server, { loadBalancingMethod: String("hash") });
  // @ts-expect-error: the key is left out instead
  setupPrimary(server, { loadBalancingMethod: undefined });
  // @ts-expect-error: a name
  setupPrimary(server, { name: 1 });
  // @ts-expect-error: a number of milliseconds
  setupPrimary(server, { headTimeout: "10s" });
  // @ts-expect-error: a number of bytes
  setupPrimary(server, { maxHeadSize: "16k" });
  // @ts-expect-error: a number of connections
  setupPrimary(server, { maxPendingConnections: "20000" });
  // @ts-expect-error: 0 is "do not wait"
  setupPrimary(server, { workerTimeout: false });
  // @ts-expect-error: the router tells the versions apart
  setupPrimary(server, { proxyProtocol: 2 });
  // @ts-expect-error: a list, even of one
  setupPrimary(server, { trustedProxies: "10.0.0.0/8" });
  // @ts-expect-error: nobody is trusted without being named
  setupPrimary(server, { trustedProxies: true });
  // @ts-expect-error: no such header
  setupPrimary(server, { forwardedHeader: "x-real-ip" });
  // @ts-expect-error: a number of bits
  setupPrimary(server, { ipv6PrefixLength: "/64" });
  expectTypeOf<LoadBalancingMethod>().toEqualTypeOf<"least-connection" | "round-robin" | "random" | "hash">();
  expectTypeOf<ForwardedHeader>().toEqualTypeOf<"x-forwarded-for" | "forwarded">();
  expectTypeOf<Record<never, never>>().toExtend<PrimaryOptions>();
}

/** The hook is told of the connection and the workers, and names one of them or none. */
export function selectWorker(server: NetServer): void {
  setupPrimary(server, {
    selectWorker: (info) => {
      expectTypeOf(info).toEqualTypeOf<ConnectionInfo>();
      expectTypeOf(info.remoteAddress).toEqualTypeOf<string | undefined>();
      expectTypeOf(info.target).toEqualTypeOf<string | undefined>();
      expectTypeOf(info.workers).toEqualTypeOf<readonly WorkerInfo[]>();
      // @ts-expect-error: the list is the router's
      info.workers.pop();
      // @ts-expect-error: TLS has no request target in the primary
      info.target.startsWith("/socket.io/");
      // @ts-expect-error: what is known of the connection is not the hook's to change
      info.target = "/";
      for (const worker of info.workers) {
        expectTypeOf(worker.workerId).toEqualTypeOf<number>();
        expectTypeOf(worker.slot).toEqualTypeOf<number>();
        expectTypeOf(worker.connections).toEqualTypeOf<number>();
        // @ts-expect-error: a snapshot
        worker.connections = 0;
      }
      return info.workers[0]?.workerId;
    },
  });
  setupPrimary(server, { selectWorker: ({ workers }) => workers.find(({ slot }) => slot === 0)?.workerId });
  // @ts-expect-error: the worker's id, not the worker
  setupPrimary(server, { selectWorker: ({ workers }) => workers[0] });
  // @ts-expect-error: a number, as cluster.worker.id is
  setupPrimary(server, { selectWorker: () => "1" });
  // @ts-expect-error: "none of them" is undefined
  setupPrimary(server, { selectWorker: () => null });
  setupPrimary(server, { selectWorker: async ({ target }) => (target === "/" ? 1 : undefined) });
  // @ts-expect-error: a promise of a number
  setupPrimary(server, { selectWorker: async () => "1" });
  // @ts-expect-error: it is given the info alone
  setupPrimary(server, { selectWorker: (_info, _workers) => 1 });
}

/** Events name their arguments, and only what is emitted can be listened to. */
export function primaryHandle(primary: StickyPrimary): void {
  expectTypeOf(primary.ready(4)).toEqualTypeOf<Promise<void>>();
  expectTypeOf(primary.ready).parameters.toEqualTypeOf<[(number | undefined)?]>();
  expectTypeOf<StickyPrimary>().toExtend<EventEmitter<PrimaryEvents>>();
  primary.on("worker:ready", (worker) => {
    expectTypeOf(worker).toEqualTypeOf<{ readonly workerId: number; readonly slot: number }>();
  });
  primary.once("worker:gone", (worker) => {
    expectTypeOf(worker).toEqualTypeOf<{ readonly workerId: number; readonly slot: number }>();
  });
  primary.on("refused", ({ reason, remoteAddress }) => {
    expectTypeOf(reason).toEqualTypeOf<RefusalReason>();
    expectTypeOf(remoteAddress).toEqualTypeOf<string | undefined>();
    // @ts-expect-error: no such reason
    if (reason === "timeout") return;
  });
  primary.on("warning", (error) => expectTypeOf(error).toEqualTypeOf<Error>());
  // @ts-expect-error: no such event
  primary.on("ready", () => {});
  // @ts-expect-error: "refused" has one argument
  primary.on("refused", (_refusal, _second) => {});
  // @ts-expect-error: not the worker of node:cluster
  primary.on("worker:gone", (worker) => worker.process.pid);
  // @ts-expect-error: the argument is missing
  primary.emit("worker:ready");
  expectTypeOf<keyof PrimaryEvents>().toEqualTypeOf<"worker:ready" | "worker:gone" | "refused" | "warning">();
  expectTypeOf(primary.close()).toEqualTypeOf<Promise<void>>();
}

/** Workers are named by what `cluster.fork()` returns; what came of it is told by name. */
export function moves(primary: StickyPrimary, from: Worker, to: Worker): void {
  expectTypeOf(primary.retire(from, to)).toEqualTypeOf<Promise<MoveResult>>();
  primary.retire(from, [to, { id: 3 }], { window: 4, drainTimeout: 1_000, spread: 0, onProgress: () => {} });
  primary.moveSessions(from, to, { count: 10, signal: new AbortController().signal });
  expectTypeOf(primary.rebalance()).toEqualTypeOf<Promise<MoveResult[]>>();
  // @ts-expect-error: the worker, not its id
  primary.retire(1, 2);
  // @ts-expect-error: nothing is closed
  primary.moveSessions(from, to, { drainTimeout: 1 });
  // @ts-expect-error: one worker
  primary.moveSessions(from, [to]);
  expectTypeOf<MoveResult["left"]>().toEqualTypeOf<Readonly<Record<string, number>>>();
  expectTypeOf(primary.stats().moves).toEqualTypeOf<MoveStats>();
}

export function primaryStats(primary: StickyPrimary): void {
  const stats = primary.stats();
  expectTypeOf(stats).toEqualTypeOf<PrimaryStats>();
  expectTypeOf(stats.pending).toEqualTypeOf<number>();
  expectTypeOf(stats.waiting).toEqualTypeOf<number>();
  expectTypeOf(stats.refused).toEqualTypeOf<Readonly<Record<RefusalReason, number>>>();
  expectTypeOf(stats.refused["no-worker"]).toEqualTypeOf<number>();
  // @ts-expect-error: no such reason
  stats.refused.other;
  // @ts-expect-error: a snapshot
  stats.pending = 0;
  // @ts-expect-error: a snapshot, all through
  stats.refused.silent = 0;
  expectTypeOf(stats.workers).toEqualTypeOf<readonly WorkerStats[]>();
  for (const worker of stats.workers) {
    expectTypeOf(worker).toExtend<WorkerInfo>();
    expectTypeOf(worker.handedOver).toEqualTypeOf<number>();
    expectTypeOf(worker.forwardedOut).toEqualTypeOf<number>();
    expectTypeOf(worker.forwardedIn).toEqualTypeOf<number>();
    // @ts-expect-error: a snapshot
    worker.handedOver = 0;
  }
  for (const slot of stats.slots) {
    expectTypeOf(slot.workerId).toEqualTypeOf<number | undefined>();
    expectTypeOf(slot.sessions.open.websocket).toEqualTypeOf<number>();
    expectTypeOf(slot.sessions.ended["worker gone"]).toEqualTypeOf<number>();
    // @ts-expect-error: a snapshot
    slot.moved = 0;
  }
  expectTypeOf(stats.handover.counts).toEqualTypeOf<readonly number[]>();
  expectTypeOf<RefusalReason>().toEqualTypeOf<
    | "bad-request"
    | "bad-proxy-header"
    | "head-too-long"
    | "head-timeout"
    | "silent"
    | "evicted"
    | "client-closed"
    | "no-worker"
    | "undeliverable"
  >();
}

/** Any Socket.IO server goes, whatever its event types are. */
export function worker(io: Server): void {
  setupWorker(io);
  setupWorker(new Server(createServer()), { name: "api" });
  setupWorker(new Server<Events, Events, Events, Data>(createHttpsServer()));
  expectTypeOf<Server>().toExtend<SocketIoServer>();
  expectTypeOf(setupWorker).parameters.toEqualTypeOf<[SocketIoServer, (WorkerOptions | undefined)?]>();
  expectTypeOf(setupWorker).returns.toEqualTypeOf<StickyWorker>();
  // @ts-expect-error: the Socket.IO server comes first
  setupWorker();
  // @ts-expect-error: the Socket.IO server, not the one that it is attached to
  setupWorker(createServer());
  // @ts-expect-error: a namespace has no engine
  setupWorker(io.of("/"));
  // @ts-expect-error: a name
  setupWorker(io, { name: 1 });
  // @ts-expect-error: the key is left out instead
  setupWorker(io, { name: undefined });
  // @ts-expect-error: an option of setupPrimary()
  setupWorker(io, { loadBalancingMethod: "hash" });
  expectTypeOf<keyof WorkerOptions>().toEqualTypeOf<"name" | "mover">();
}

export function workerHandle(worker: StickyWorker): void {
  const stats = worker.stats();
  expectTypeOf(stats).toEqualTypeOf<WorkerProcessStats>();
  expectTypeOf(stats).toEqualTypeOf<{
    readonly connections: number;
    readonly received: number;
    readonly relayed: number;
    readonly relayedToHosts: number;
    readonly moved: number;
    readonly forwardedIn: number;
    readonly sessions: SessionStats;
  }>();
  // @ts-expect-error: a snapshot
  stats.received = 0;
  expectTypeOf(worker.close()).toEqualTypeOf<Promise<void>>();
  expectTypeOf(worker.drain()).toEqualTypeOf<Promise<void>>();
  expectTypeOf(worker.drain).parameters.toEqualTypeOf<[(DrainOptions | undefined)?]>();
  worker.drain({ timeout: 1_000 });
  // @ts-expect-error: milliseconds
  worker.drain({ timeout: "1s" });
  expectTypeOf<keyof DrainOptions>().toEqualTypeOf<"timeout">();
  expectTypeOf<StickyWorker>().toExtend<EventEmitter<WorkerEvents>>();
  worker.on("warning", (error) => expectTypeOf(error).toEqualTypeOf<Error>());
  // @ts-expect-error: events of the primary
  worker.on("refused", () => {});
  expectTypeOf<keyof WorkerEvents>().toEqualTypeOf<"warning">();
}

/** Codes are literals: a typing error in a comparison does not compile. */
export function errors(error: HoldfastError, unknown: unknown): void {
  expectTypeOf<string>().not.toExtend<HoldfastErrorCode>();
  expectTypeOf<HoldfastErrorCode>().toExtend<`HOLDFAST_ERR_${string}`>();
  expectTypeOf<"HOLDFAST_ERR_SELECT_WORKER">().toExtend<HoldfastErrorCode>();
  expectTypeOf(error).toExtend<Error>();
  expectTypeOf<HoldfastError["name"]>().toEqualTypeOf<"HoldfastError">();
  expectTypeOf(error.code).toEqualTypeOf<HoldfastErrorCode>();
  if (unknown instanceof HoldfastError) expectTypeOf(unknown.code).toEqualTypeOf<HoldfastErrorCode>();
  new HoldfastError("HOLDFAST_ERR_SELECT_WORKER", "selectWorker() threw.", { cause: unknown });
  // @ts-expect-error: no such code
  if (error.code === "HOLDFAST_ERR_SELECT") return;
  // @ts-expect-error: a code stays what it is
  error.code = "HOLDFAST_ERR_NOT_PRIMARY";
  // @ts-expect-error: a code belongs to it
  new HoldfastError("something went wrong");
}
