/**
 * Real clusters for tests.
 * Owns: the cluster's processes, and the directory of what they leave behind. Runs in: tests.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type RemoteProcess, RemoteProgram } from "@holdfast/harness";
import type { ClusterConfig, PrimaryContext, WorkerContext } from "./context.js";
import { endHubProcesses } from "./hub-processes.js";

const FIXTURE = fileURLToPath(new URL("../../dist/fixtures/node.js", import.meta.url));

export type RemotePrimary = RemoteProcess<PrimaryContext>;
export type RemoteWorker = RemoteProcess<WorkerContext>;

export class TestCluster extends RemoteProgram<PrimaryContext, WorkerContext> {
  /** For files of the processes: their TMPDIR, unless `env` says otherwise. It goes with the cluster. */
  readonly directory: string;
  /** The workers of the start, by letter; one keeps its letter when another is gone. */
  #first: readonly RemoteWorker[] = [];

  private constructor(config: ClusterConfig, directory: string) {
    const { env, setUpWorker, single = false, workers = 2, deadlineMs, ...rest } = config;
    super(FIXTURE, {
      config: { ...rest, single, workers, setUpWorker: setUpWorker?.toString() },
      size: single ? 1 : workers + 1,
      env: { TMPDIR: directory, ...env },
      ...(deadlineMs !== undefined && { deadlineMs }),
    });
    this.directory = directory;
  }

  /** Starts a cluster and waits until its workers take connections. */
  static async start(config: ClusterConfig = {}): Promise<TestCluster> {
    const cluster = new TestCluster(config, mkdtempSync(join(tmpdir(), "hf-")));
    await cluster.open();
    cluster.#first = cluster.workers;
    return cluster;
  }

  override get primary(): RemotePrimary {
    if (!super.primary) throw new Error("the primary is gone");
    return super.primary;
  }

  get a(): RemoteWorker {
    return this.#letter(0);
  }

  get b(): RemoteWorker {
    return this.#letter(1);
  }

  get c(): RemoteWorker {
    return this.#letter(2);
  }

  get d(): RemoteWorker {
    return this.#letter(3);
  }

  /** Where the router listens. */
  get port(): number {
    return this.primary.port;
  }

  get url(): string {
    return this.primary.url;
  }

  /** Forks one more worker and waits until it takes connections. */
  async fork(): Promise<RemoteWorker> {
    const known = new Set(this.workers.map(({ pid }) => pid));
    await this.primary.run((ctx) => ctx.fork());
    return this.until("new worker", () => this.workers.find(({ pid }) => !known.has(pid)));
  }

  /** Waits until each worker's namespace knows of this many workers, all living ones unless a number is given. */
  async untilJoined(count = this.workers.length, namespace = "/"): Promise<void> {
    await untilServers(this.workers, count, namespace);
  }

  override async close(): Promise<void> {
    await super.close();
    // One that outlives the cluster puts its socket back where it is removed.
    endHubProcesses(this.directory);
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 10 });
  }

  #letter(place: number): RemoteWorker {
    const worker = this.#first[place];
    if (!worker) throw new Error(`no worker ${"abcd"[place]}: ${this.#first.length} were started`);
    return worker;
  }
}

/** Waits until each worker's namespace knows of this many workers. The hub tells them: what went before is there. */
export async function untilServers(
  workers: readonly RemoteWorker[],
  count: number,
  namespace = "/",
): Promise<void> {
  const untilServer = async (ctx: WorkerContext, expected: number, name: string) => {
    const { adapter } = ctx.io.of(name);
    await ctx.until(async () => (await adapter.serverCount()) === expected);
  };
  await Promise.all(workers.map((worker) => worker.run(untilServer, count, namespace)));
}
