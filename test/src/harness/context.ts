/** What functions given to `run()` find in the fixture process. Runs in: fixture processes. */
import type { Cluster } from "node:cluster";
import type { Server as HttpServer } from "node:http";
import type { Server } from "socket.io";

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
  import(specifier: string): Promise<Record<string, unknown>>;
}

export interface PrimaryContext extends Context {
  /** What `setupPrimary` of the adapter returned. */
  // biome-ignore lint/suspicious/noExplicitAny: differs between the packages under test
  readonly hub: any;
  /** What `setupPrimary` of the sticky package returned. */
  // biome-ignore lint/suspicious/noExplicitAny: differs between the packages under test
  readonly router: any;
  /** Forks one worker with the fixture's environment. */
  fork(): void;
}

export interface WorkerContext extends Context {
  readonly io: Server;
  /** What `setupWorker` of the sticky package returned. */
  // biome-ignore lint/suspicious/noExplicitAny: differs between the packages under test
  readonly sticky: any;
  /** Loses the adapter's link as if the hub had cut this worker off. */
  loseLink(): void;
  /** Blocks the event loop until the file exists; see `cut-off.ts`. */
  standStill(untilFile: string): void;
}

/** How a cluster is to be set up; travels as JSON in the environment. */
export interface ClusterConfig {
  /** Number of workers that are forked at the start. @default 2 */
  readonly workers?: number;
  /** `cluster.setupPrimary({ serialization })`. @default "json" */
  readonly serialization?: "json" | "advanced";
  /** The package of the adapter, or false for Socket.IO's own. @default "@holdfast/adapter" */
  readonly adapter?: "@holdfast/adapter" | "@socket.io/cluster-adapter" | false;
  /** The package of the router, or false for node:cluster's own. @default "@holdfast/sticky" */
  readonly sticky?: "@holdfast/sticky" | "@socket.io/sticky" | false;
  /** Whether the primary calls the adapter's `setupPrimary()`. @default true */
  readonly hub?: boolean;
  /** Options of `createAdapter()`. */
  readonly adapterOptions?: object;
  /** Options of the adapter's `setupPrimary()`. */
  readonly hubOptions?: object;
  /** Options of the router's `setupPrimary()`. */
  readonly stickyOptions?: object;
  /** Options of the router's `setupWorker()`. */
  readonly stickyWorkerOptions?: object;
  /** Options of `new Server()`. */
  readonly io?: object;
  /** Module that is the `parser` of `new Server()`. */
  readonly parser?: string;
  /** Module whose `default(context, config)` runs in each worker before it reports ready. */
  readonly workerModule?: string;
}
