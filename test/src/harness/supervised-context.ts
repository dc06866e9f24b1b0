/** What functions given to `run()` find in the processes of a supervised cluster. Types, and one name. */
import type { Server as HttpServer } from "node:http";
import type { AdapterOptions } from "@holdfast/adapter";
import type { RedisStreamsOptions } from "@holdfast/adapter/redis-streams";
import type { Cluster, ClusterMember, ClusterOptions, startCluster } from "@holdfast/cluster";
import type { Server } from "socket.io";
import type { FailingJoins } from "../fixtures/failing-joins.js";
import type { Context } from "./context.js";

/** Names the file that says how workers start. */
export const HOW_VARIABLE = "HOLDFAST_TEST_HOW";

/** How a worker starts. */
export interface HowToStart {
  /** Told to each client, and by HTTP. @default 0 */
  readonly version?: number;
  /** Written to stderr first. */
  readonly writes?: string;
  /** It throws this. */
  readonly throws?: string;
  /** It exits with this code. */
  readonly exits?: number;
  /** It takes so long. */
  readonly waitsMs?: number;
  /** It connects to the socket at this path, and waits until it is let go: until that connection is closed. */
  readonly waitsAt?: string;
  /** Whether it has a listener for SIGTERM of its own, which only tells of it where it waits. @default false */
  readonly tellsOfTerm?: boolean;
  /** It starts a process that has its stderr, and that ends when the socket at this path lets it go. */
  readonly leavesAt?: string;
  /** What it gets amid `joinCluster()`, when the primary may have heard of its server. */
  readonly signalAtJoin?: "SIGINT" | "SIGHUP";
  /** Whether it calls `joinCluster()` before in ways that fail. @default false */
  readonly failsBefore?: boolean;
  /** Whether it calls `joinCluster()`. @default true */
  readonly joins?: boolean;
  /** Its `onStop` connects to the socket at this path, and waits until that connection is closed. */
  readonly stopsAt?: string;
  /** Its `onStop` throws this. */
  readonly throwsAtStop?: string;
  /** A listener for messages that was there before throws so, and what is uncaught is printed. */
  readonly throwsAtMessages?: string;
  /** Whether it calls `listen()`, with a port of its own. @default false */
  readonly listens?: boolean;
  /** What the first session that moves to it does to it. */
  readonly signalAtMoves?: "SIGKILL" | "SIGSTOP";
  /** An error that nobody handles, soon after it has joined. */
  readonly rejects?: string;
  /** Options of `new Server()`. */
  readonly io?: object;
  /** Options of `createAdapter()`. */
  readonly adapter?: AdapterOptions;
}

/** How a supervised cluster is to be set up; travels as JSON. */
export interface SupervisedConfig {
  readonly options: Partial<ClusterOptions>;
  /** Whether it has a server of its own. @default false */
  readonly ownServer?: boolean;
  /** For `redisStreams()`, whose result is the adapter's option `backplane`. */
  readonly backplane?: RedisStreamsOptions | undefined;
  /** Whether its option `log` throws. @default false */
  readonly logThrows?: boolean;
}

export interface SupervisorContext extends Pick<Context, "import"> {
  /** The handle; rejects as `startCluster()` did. */
  cluster(): Promise<Cluster>;
  port(): Promise<number>;
  readonly startAgain: typeof startCluster;
}

export interface AppContext {
  readonly io: Server;
  readonly httpServer: HttpServer;
  readonly version: number;
  readonly args: readonly string[];
  readonly failures: FailingJoins | undefined;
  readonly member: ClusterMember | undefined;
  /** Joins with one more server; its `onStop` is told as an event of its name. */
  joinAnother(name: string): void;
  /** Sends a named event to the test. */
  emit(name: string, value?: unknown): void;
}
