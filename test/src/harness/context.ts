/** What functions given to `run()` find in the fixture process. Runs in: fixture processes. */
import type { Cluster } from "node:cluster";
import type { Server as HttpServer } from "node:http";
import type { AdapterOptions } from "@holdfast/adapter";
import type { Server, Socket } from "socket.io";

export interface Context {
  readonly cluster: Cluster;
  readonly httpServer: HttpServer;
  /** A place for what one call leaves for the next. */
  // biome-ignore lint/suspicious/noExplicitAny: each test keeps what it likes here
  readonly store: Record<string, any>;
  /** Sends a named event to the test. */
  emit(name: string, value?: unknown): void;
  /** Lets go of the test: the process may end by itself from now on. */
  release(): void;
  /** `import()` as seen from the fixture. */
  import<S extends string>(specifier: S): Promise<Imported<S>>;
  /**
   * Waits for a state of this process or of its hub that has no event: looks every few milliseconds until `find` gives
   * something else than false or nothing, and gives that. The deadline is the caller's.
   */
  until<T>(find: () => T | Missing | Promise<T | Missing>): Promise<T>;
  /** Moves this process' clock ahead: what has waited for a while has waited so much longer. Timers do not notice. */
  passTime(ms: number): void;
  /** Keeps the event loop busy for so long. */
  block(ms: number): void;
  /** Calls `then` behind each message of a kind of the sticky package that this process sends: see docs/protocol.md. */
  afterSaying(kind: number, then: () => void): void;
}

type Missing = false | null | undefined;

/** What tests import in their processes. */
interface Modules {
  readonly "@holdfast/adapter": typeof import("@holdfast/adapter");
  readonly "@holdfast/sticky": typeof import("@holdfast/sticky");
  readonly "http-terminator": typeof import("http-terminator");
  readonly "socket.io": typeof import("socket.io");
  readonly "node:crypto": typeof import("node:crypto");
  readonly "node:diagnostics_channel": typeof import("node:diagnostics_channel");
  readonly "node:events": typeof import("node:events");
  readonly "node:fs": typeof import("node:fs");
  readonly "node:http": typeof import("node:http");
  readonly "node:http2": typeof import("node:http2");
  readonly "node:https": typeof import("node:https");
  readonly "node:net": typeof import("node:net");
  readonly "node:v8": typeof import("node:v8");
  readonly "node:vm": typeof import("node:vm");
}

type Imported<S> = S extends keyof Modules ? Modules[S] : Record<string, unknown>;

export interface PrimaryContext extends Context {
  /** What `setupPrimary` of the adapter returned. */
  // biome-ignore lint/suspicious/noExplicitAny: differs between the packages under test
  readonly hub: any;
  /** Opens another hub, which is `hub` from then on. @param options as {@link ClusterConfig.hubOptions} */
  openHub(options?: object): Promise<void>;
  /** Closes the hub, and what else a hub process has: its socket. */
  closeHub(): Promise<void>;
  /** What `setupPrimary` of the sticky package returned. */
  // biome-ignore lint/suspicious/noExplicitAny: differs between the packages under test
  readonly router: any;
  /** Forks one worker with the fixture's environment. */
  fork(): void;
}

export interface WorkerContext extends Context {
  readonly io: Server;
  /** What `createAdapter()` was called with: another server of the process takes the same hub with it. */
  readonly adapterOptions: AdapterOptions | undefined;
  /** What `setupWorker` of the sticky package returned. */
  // biome-ignore lint/suspicious/noExplicitAny: differs between the packages under test
  readonly sticky: any;
  /** Loses the adapter's link as if the hub had cut this worker off. */
  loseLink(): void;
  /** Blocks the event loop until the file exists; see `cut-off.ts`. */
  standStill(untilFile: string): void;
  /** Settles when the hub has been told of `socket.data` as it is now; see `socket-data.ts`. */
  dataTold(socket: Socket): Promise<void>;
}

/** How a cluster is to be set up; travels as JSON, functions as their text. */
export interface ClusterConfig {
  /** Number of workers that are forked at the start. @default 2 */
  readonly workers?: number;
  /** Instead of a cluster one process, which does what a worker does; it is worker a. @default false */
  readonly single?: boolean;
  /** `cluster.setupPrimary({ serialization })`. @default "json" */
  readonly serialization?: "json" | "advanced";
  /** The package of the adapter, or false for Socket.IO's own. @default "@holdfast/adapter" */
  readonly adapter?: "@holdfast/adapter" | "@socket.io/cluster-adapter" | false;
  /** The package of the router, or false for node:cluster's own. @default "@holdfast/sticky" */
  readonly sticky?: "@holdfast/sticky" | "@socket.io/sticky" | false;
  /** Whether the primary calls the router's `setupPrimary()`. Otherwise the workers listen. @default true */
  readonly router?: boolean;
  /** How workers without a router listen, as `httpServer.listen()` takes it. @default a port of its own */
  readonly listen?: object;
  /** Whether the primary calls the adapter's `setupPrimary()`. @default true */
  readonly hub?: boolean;
  /** Options of `createAdapter()`. */
  readonly adapterOptions?: object;
  /**
   * Options of the adapter's `setupPrimary()`. With the link "unix", the primary has a hub as a hub process has it, with
   * a socket at which the workers find it.
   */
  readonly hubOptions?: object;
  /** Options of `redisStreams()`: the hub is one of several. */
  readonly backplane?: object;
  /** Options of `redisStreams()`, for the workers' `createAdapter()`. */
  readonly workerBackplane?: object;
  /** Whether the router knows the other hosts, from the hub. @default false */
  readonly joinsHosts?: boolean;
  /** Options of the router's `setupPrimary()`. */
  readonly stickyOptions?: object;
  /** Options of the router's `setupWorker()`. */
  readonly stickyWorkerOptions?: object;
  /** Whether sessions can move: the workers give the router's `setupWorker()` a mover. @default false */
  readonly moves?: boolean;
  /** How long the processes may take for what they are asked, milliseconds. @default 30000 */
  readonly deadlineMs?: number;
  /** Options of `new Server()`. */
  readonly io?: object;
  /** Module that is the `parser` of `new Server()`. */
  readonly parser?: string;
  /** Module whose `default(context, config)` runs in each worker before it takes connections. */
  readonly workerModule?: string;
  /**
   * Runs in each worker before it takes connections, also in those that are forked later. Its text is sent there: it
   * must not use anything from outside.
   */
  readonly setUpWorker?: (context: WorkerContext) => unknown;
  /** Added to the environment of all processes. */
  readonly env?: NodeJS.ProcessEnv;
}
