/**
 * Supervised clusters for tests: `startCluster()` in a process of its own, and the command line beside it.
 * Owns: their processes, and the directory with their control socket. Runs in: tests.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type RemoteProcess, RemoteProgram, type Result, runProgram } from "@holdfast/harness";
import type { AppContext, HowToStart, SupervisedConfig, SupervisorContext } from "./supervised-context.js";
import { HOW_VARIABLE } from "./supervised-context.js";

const PRIMARY = fileURLToPath(new URL("../../dist/fixtures/cluster-primary.js", import.meta.url));
export const HOLDFAST = fileURLToPath(new URL("../../../packages/cluster/bin/holdfast.js", import.meta.url));
export const APP = fileURLToPath(new URL("../../dist/fixtures/cluster-app.js", import.meta.url));

/** A worker is a process that loads Socket.IO: on a machine that is busy with other tests, several in a row take their time. */
const DEADLINE_MS = 120_000;

export interface SupervisedOptions {
  /** Options of `startCluster()`. It has two workers, unless they say otherwise. */
  readonly options?: SupervisedConfig["options"];
  readonly ownServer?: boolean;
  readonly backplane?: SupervisedConfig["backplane"];
  readonly logThrows?: boolean;
  readonly how?: HowToStart;
  /** Added to the environment of all processes. */
  readonly env?: NodeJS.ProcessEnv;
  /** The working directory of the primary. @default that of the test */
  readonly cwd?: string;
  /** For several clusters of one user. @default a new one */
  readonly home?: Home;
}

/** Where a user's clusters keep their control sockets, and how workers start. */
export class Home {
  readonly directory = mkdtempSync(join(tmpdir(), "hf-"));
  readonly #how = join(this.directory, "how.json");

  constructor() {
    this.start({});
  }

  /** Workers start like this from now on. */
  start(how: HowToStart): void {
    writeFileSync(this.#how, JSON.stringify(how));
  }

  get env(): NodeJS.ProcessEnv {
    return { XDG_RUNTIME_DIR: this.directory, TMPDIR: this.directory, [HOW_VARIABLE]: this.#how };
  }

  /** Runs the command line. */
  async holdfast(...args: string[]): Promise<Result> {
    return runProgram(process.execPath, [HOLDFAST, ...args], { env: this.env, cwd: this.directory });
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export class Supervised extends RemoteProgram<SupervisorContext, AppContext> {
  readonly home: Home;
  readonly #ownsHome: boolean;
  port = 0;

  private constructor({ options, ownServer, backplane, logThrows, how, env, cwd, home }: SupervisedOptions) {
    const own = home ?? new Home();
    if (how) own.start(how);
    const defaults = { workers: 2, readyTimeout: DEADLINE_MS };
    const config: SupervisedConfig = {
      options: { ...defaults, ...options },
      ownServer: ownServer ?? false,
      backplane,
      logThrows: logThrows ?? false,
    };
    super(PRIMARY, { config, size: 1, env: { ...own.env, ...env }, cwd, deadlineMs: DEADLINE_MS });
    this.home = own;
    this.#ownsHome = home === undefined;
  }

  /** Starts the primary, and waits for nothing else. */
  static async launch(options: SupervisedOptions = {}): Promise<Supervised> {
    return new Supervised(options).open();
  }

  /** Starts a cluster and waits until its workers are ready. */
  static async start(options: SupervisedOptions = {}): Promise<Supervised> {
    const supervised = await Supervised.launch(options);
    await supervised.untilStarted();
    return supervised;
  }

  /** Waits until the cluster runs, and all of its workers have reported. */
  async untilStarted(): Promise<void> {
    this.port = await this.primary.run((ctx) => ctx.port());
    await this.#untilSeen();
  }

  override until<T>(what: string, find: () => T | false | null | undefined, ms = DEADLINE_MS): Promise<T> {
    return super.until(what, find, ms);
  }

  override get primary(): RemoteProcess<SupervisorContext> {
    if (!super.primary) throw new Error(`the primary is gone; its output is:\n${this.output}`);
    return super.primary;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pids(): number[] {
    return this.workers.map(({ pid }) => pid).sort((a, b) => a - b);
  }

  async status() {
    return this.primary.run(async (ctx) => (await ctx.cluster()).status());
  }

  async reload() {
    const result = await this.primary.run(async (ctx) => (await ctx.cluster()).reload());
    await this.#untilSeen();
    return result;
  }

  async scale(workers: number) {
    const result = await this.primary.run(async (ctx, count) => (await ctx.cluster()).scale(count), workers);
    await this.#untilSeen();
    return result;
  }

  /** The primary's word that a worker has come or gone may be here before the worker's own connection says so. */
  async #untilSeen(): Promise<void> {
    const { slots } = await this.status();
    const pids = slots.map(({ pid }) => pid);
    const isSeen = () => this.workers.length === pids.length && this.pids.every((pid) => pids.includes(pid));
    await this.until(`workers ${pids.join()}`, isSeen);
  }

  override async close(): Promise<void> {
    await super.close();
    if (this.#ownsHome) this.home.remove();
  }
}
