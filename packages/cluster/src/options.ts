/** The options of `startCluster()` and `joinCluster()`, as users give them. Runs in: primary and workers. */
import type { Server as NetServer } from "node:net";
import type { AdapterOptions, PrimaryOptions as HubOptions } from "@holdfast/adapter";
import type { PrimaryOptions as RouterOptions, WorkerOptions } from "@holdfast/sticky";

/** Options of `startCluster()`. */
export interface ClusterOptions {
  /**
   * The file that each worker runs. A relative path is looked up beside the file that Node.js was started with. It is
   * required, and read anew for each worker: what it is at a reload is what the new workers run.
   * A directory will do if Node.js can run it: with an `index.js`, or a `main` in its `package.json`.
   * @throws {HoldfastError} `HOLDFAST_ERR_WORKER_FILE` if there is no such file
   */
  worker: string | URL;
  /**
   * Arguments of the workers, `process.argv` from the third on.
   * @default []
   */
  args?: readonly string[];
  /**
   * Arguments of Node.js in the workers.
   * @default those of this process, `process.execArgv`
   */
  execArgv?: readonly string[];
  /**
   * Added to the environment of the workers. They also have `HOLDFAST_SLOT`, their place in the cluster, from 0.
   * @default `{}`
   */
  env?: Readonly<Record<string, string>>;
  /**
   * The working directory of the workers; it has to be there. A relative path is seen from that which this process has
   * at the start. Set it if a deploy replaces the directory in which the cluster was started.
   * @default that of this process at the start
   */
  cwd?: string;
  /**
   * The port to listen on; 0 picks a free one. Integer, 0–65535.
   * @default 3000
   */
  port?: number;
  /**
   * The address to listen on.
   * @default all addresses
   */
  host?: string;
  /**
   * A Unix socket to listen on, in place of a port; its directory has to be there. One that a killed process has left is
   * replaced. A relative path is seen from the working directory that this process has at the start. From the root on,
   * at most 107 bytes (103 on macOS), because that is all that a Unix socket's address holds.
   */
  path?: string;
  /**
   * A server of your own for the connections, in place of `port`, `host` and `path`: an `http.Server` or `net.Server`
   * of this process. Call its `listen()` yourself, best when `startCluster()` has resolved; `stop()` closes it.
   */
  server?: NetServer;
  /**
   * How many workers to run. Integer, 1–512.
   * @default `os.availableParallelism()`
   */
  workers?: number;
  /**
   * What the cluster is called: `npx holdfast reload --name api`. 1–64 characters out of letters, digits, `.`, `_`
   * and `-`. Without one it is called after the working directory, from its first letter or digit out of these on, with
   * a number behind it if another cluster has that name.
   * @throws {HoldfastError} `HOLDFAST_ERR_NAME_TAKEN`
   */
  name?: string;
  /**
   * Whether the command line `npx holdfast` can reach this cluster, through a Unix socket that only the same user can
   * use; or the path of that socket, in a directory of your own. A relative path is seen from the working directory that
   * this process has at the start. On Windows there is no such socket.
   * @default true
   */
  control?: boolean | string;
  /**
   * A server for the operator: health checks, metrics and a dashboard. `true` is `{}`.
   * @default false
   */
  admin?: boolean | AdminOptions;
  /**
   * Options of `setupPrimary()` of `@holdfast/adapter`.
   * @default `{}`
   */
  adapter?: HubOptions;
  /**
   * Options of `setupPrimary()` of `@holdfast/sticky`.
   * @default `{}`
   */
  sticky?: RouterOptions;
  /**
   * How long a worker may take from its start until it has called `joinCluster()`. One that takes longer is killed,
   * which counts as a crash. Milliseconds, integer, 1–2147483647.
   * @default 30000
   */
  readyTimeout?: number;
  /**
   * How long the event loop of a worker may stand still. One that is silent for longer is killed and replaced: it is
   * blocked, or was stopped. The time in which this process itself was busy does not count. 0 switches it off.
   * Milliseconds, integer, 0–2147483647.
   * @default 30000, or 0 if this process is being debugged (`--inspect`)
   */
  hangTimeout?: number;
  /**
   * How long to wait before a worker that has crashed is started again. It doubles with each crash in a row, up to
   * `maxRestartDelay`. Milliseconds, integer, 0–2147483647.
   * @default 250
   */
  restartDelay?: number;
  /**
   * The longest of these waits. Milliseconds, integer, 0–2147483647.
   * @default 15000
   */
  maxRestartDelay?: number;
  /**
   * How long a worker must have been ready for its end not to count as one more crash in a row. Milliseconds, integer,
   * 0–2147483647.
   * @default 10000
   */
  minUptime?: number;
  /**
   * After how many crashes in a row a worker is given up. `reload()` tries it again. When none is left, the cluster
   * has failed: it stops, and the process exits with code 1. At the start, before any worker was ready, the crashes of
   * all workers count together. Integer, 1–1000000.
   * @default 10
   */
  maxCrashes?: number;
  /**
   * How long a worker that is replaced may take to finish its requests and end, when its sessions have moved. Then it is
   * killed. Before, clients that cannot be moved stay for half of this time, and are closed over a quarter of it.
   * Milliseconds, integer, 0–2147483647.
   * @default 10000
   */
  drainTimeout?: number;
  /**
   * The same when the whole cluster stops. Keep it below the time after which whatever runs this process kills it:
   * 10 seconds with `docker stop`, 90 with systemd. Milliseconds, integer, 0–2147483647.
   * @default 8000
   */
  stopTimeout?: number;
  /**
   * Whether to look after the process: SIGTERM and SIGINT stop the cluster, a second one at once, SIGHUP reloads it, and
   * the process exits when the cluster has stopped or failed.
   * @default true
   */
  signals?: boolean;
  /**
   * Where messages for the operator go: called with one line at a time, without its end. `false` for nowhere.
   * @default `console.error()`
   */
  log?: false | ((line: string) => void);
}

/** Options of the admin server. */
export interface AdminOptions {
  /**
   * The port to listen on; 0 picks a free one. Integer, 0–65535.
   * @default 9090
   */
  port?: number;
  /**
   * The address to listen on. With another one than the loopback interface's, `token` is required, and nothing but the
   * health checks is told without it.
   * @default "127.0.0.1"
   */
  host?: string;
  /**
   * Without it, the dashboard shows and takes no orders. Clients send `Authorization: Bearer` with it; the dashboard
   * asks for it. 16–1024 printable ASCII characters without spaces.
   * @default none
   */
  token?: string;
}

/** Options of `joinCluster()`. */
export interface JoinOptions {
  /**
   * Options of `createAdapter()` of `@holdfast/adapter`.
   * @default `{}`
   */
  adapter?: AdapterOptions;
  /**
   * Options of `setupWorker()` of `@holdfast/sticky`.
   * @default `{}`
   */
  sticky?: WorkerOptions;
  /**
   * Called when the worker is about to end, after the last client is gone: the place to close a database. It is waited
   * for, as long as there is time.
   * @default none
   */
  onStop?: () => unknown;
}

/** Options of `stop()` of what `startCluster()` returns. */
export interface StopOptions {
  /**
   * How long the workers may take to end; then they are killed. Milliseconds, integer, 0–2147483647.
   * @default `stopTimeout` of the cluster
   */
  timeout?: number;
}
