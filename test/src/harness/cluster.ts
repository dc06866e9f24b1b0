/**
 * Starts and ends real clusters for tests.
 * Owns: the control server, the primary's process and, through it, its workers. Runs in: tests.
 */
import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Server as NetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Answer, ControlChannel, type ControlMessage, type Hello, unpackError } from "@holdfast/harness";
import type { ClusterConfig, PrimaryContext, WorkerContext } from "./context.js";

const FIXTURE = fileURLToPath(new URL("../../dist/fixtures/node.js", import.meta.url));
const DEADLINE_MS = 30_000;

/** Waits for `promise`; fails with a sentence that names what was missing. */
export async function within<T>(promise: Promise<T>, what: string, ms = DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** A primary or a worker, seen from the test. Emits what the fixture sends with `ctx.emit()`. */
export class RemoteProcess<C> extends EventEmitter {
  readonly pid: number;
  readonly workerId: number;
  /** Settles when the process is gone. */
  readonly gone: Promise<void>;
  readonly #channel: ControlChannel;
  readonly #calls = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #lastCall = 0;
  #alive = true;

  constructor(hello: Hello, channel: ControlChannel, closed: Promise<void>) {
    super();
    this.pid = hello.pid;
    this.workerId = hello.workerId;
    this.#channel = channel;
    this.gone = closed.then(() => {
      this.#alive = false;
      for (const { reject } of this.#calls.values()) reject(new Error(`process ${this.pid} is gone`));
      this.#calls.clear();
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Runs `fn` in the process. It must not use anything from outside but its arguments. */
  async run<A extends unknown[], R>(fn: (ctx: C, ...args: A) => R, ...args: A): Promise<Awaited<R>> {
    if (!this.#alive) throw new Error(`process ${this.pid} is gone`);
    const id = ++this.#lastCall;
    const answer = new Promise<unknown>((resolve, reject) => this.#calls.set(id, { resolve, reject }));
    this.#channel.send({ type: "call", id, source: fn.toString(), args });
    return (await within(answer, `answer of process ${this.pid}`)) as Awaited<R>;
  }

  /** Starts waiting for a named event of the fixture at once. */
  async next(name: string): Promise<unknown> {
    return (await within(once(this, name), `"${name}" from process ${this.pid}`))[0];
  }

  /** Sends a signal; for SIGKILL and SIGTERM, waits until the process is gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    process.kill(this.pid, signal);
    if (signal === "SIGKILL" || signal === "SIGTERM") await within(this.gone, `end of process ${this.pid}`);
  }

  settle({ id, value, error }: Answer): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) call?.resolve(value);
    else call?.reject(unpackError(error));
  }
}

export type RemotePrimary = RemoteProcess<PrimaryContext>;
export type RemoteWorker = RemoteProcess<WorkerContext>;

export class TestCluster {
  readonly config: ClusterConfig;
  readonly #server: NetServer;
  readonly #events = new EventEmitter();
  /** Processes that are killed leave files behind; they go with this directory. */
  readonly #directory = mkdtempSync(join(tmpdir(), "hf-"));
  #child: ChildProcess | undefined;
  #primary: RemotePrimary | undefined;
  /** Living workers in the order in which they became ready. */
  readonly workers: RemoteWorker[] = [];
  port = 0;
  /** What the processes wrote to stdout and stderr. */
  output = "";

  private constructor(config: ClusterConfig) {
    this.config = config;
    this.#events.setMaxListeners(0);
    this.#server = createServer((socket) => {
      let remote: RemotePrimary | RemoteWorker | undefined;
      const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
      const channel = new ControlChannel(socket, (message: ControlMessage) => {
        if (message.type === "hello") remote = this.#admit(message, channel, closed);
        else if (message.type === "answer") remote?.settle(message);
        else if (message.type === "notice") remote?.emit(message.name, message.value);
      });
    });
  }

  static async start(config: ClusterConfig = {}, env: NodeJS.ProcessEnv = {}): Promise<TestCluster> {
    const cluster = new TestCluster(config);
    try {
      await cluster.#start(env);
    } catch (error) {
      await cluster.close();
      throw new Error(`cluster did not start: ${(error as Error).message}\n${cluster.output}`);
    }
    return cluster;
  }

  async #start(env: NodeJS.ProcessEnv): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const ready = this.waitFor((c) => c.#primary !== undefined && c.workers.length >= (config.workers ?? 2));
    const { config } = this;
    this.#child = fork(FIXTURE, {
      silent: true,
      env: {
        ...process.env,
        TMPDIR: this.#directory,
        ...env,
        HOLDFAST_TEST_CONFIG: JSON.stringify(config),
        HOLDFAST_TEST_CONTROL: String((this.#server.address() as AddressInfo).port),
      },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
        this.#events.emit("change");
      });
    }
    await ready;
    if (config.sticky === false) return;
    this.port = await this.primary.run((ctx) => (ctx.httpServer.address() as AddressInfo).port);
  }

  #admit(hello: Hello, channel: ControlChannel, closed: Promise<void>): RemotePrimary | RemoteWorker {
    if (hello.role === "primary") {
      this.#primary = new RemoteProcess<PrimaryContext>(hello, channel, closed);
      this.#events.emit("change");
      return this.#primary;
    }
    const worker = new RemoteProcess<WorkerContext>(hello, channel, closed);
    this.workers.push(worker);
    void worker.gone.then(() => {
      this.workers.splice(this.workers.indexOf(worker), 1);
      this.#events.emit("change");
    });
    this.#events.emit("change");
    return worker;
  }

  get primary(): RemotePrimary {
    if (!this.#primary) throw new Error("the primary has not started");
    return this.#primary;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  worker(index: number): RemoteWorker {
    const worker = this.workers[index];
    if (!worker) throw new Error(`no worker ${index}: ${this.workers.length} are alive`);
    return worker;
  }

  /** Waits until `condition` holds; it is tried when a process comes, goes or writes. */
  async waitFor(condition: (cluster: TestCluster) => boolean): Promise<void> {
    const met = new Promise<void>((resolve) => {
      const check = () => {
        if (!condition(this)) return;
        this.#events.off("change", check);
        resolve();
      };
      this.#events.on("change", check);
      check();
    });
    await within(met, "matching state of the cluster");
  }

  /** Waits until the processes have written `text`. */
  async waitForOutput(text: string): Promise<void> {
    await this.waitFor((cluster) => cluster.output.includes(text));
  }

  /** Forks one more worker and waits until it is ready. */
  async fork(): Promise<RemoteWorker> {
    const known = new Set(this.workers);
    await this.primary.run((ctx) => ctx.fork());
    await this.waitFor((c) => c.workers.some((worker) => !known.has(worker)));
    const fresh = this.workers.find((worker) => !known.has(worker));
    if (!fresh) throw new Error("unreachable: waitFor saw a fresh worker");
    return fresh;
  }

  /** Ends every process of the cluster and waits until all are gone. */
  async close(): Promise<void> {
    const processes = [...this.workers, ...(this.#primary ? [this.#primary] : [])];
    const exited =
      this.#child && this.#child.exitCode === null && this.#child.signalCode === null
        ? once(this.#child, "exit")
        : undefined;
    for (const { pid, alive } of processes) {
      if (!alive) continue;
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // gone between the look and the kill
      }
    }
    this.#child?.kill("SIGKILL");
    await within(Promise.all([exited, ...processes.map(({ gone }) => gone)]), "end of the cluster");
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Waits until every worker's main namespace has this many servers. */
export async function untilServers(workers: readonly RemoteWorker[], count: number): Promise<void> {
  for (const worker of workers) {
    await worker.run(async (ctx, expected) => {
      while ((await ctx.io.of("/").adapter.serverCount()) !== expected) await new Promise(setImmediate);
    }, count);
  }
}
