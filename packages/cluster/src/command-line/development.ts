/**
 * `holdfast run --watch`: reloads when a file changes, and waits for the next change when the application is broken.
 * Owns: the cluster, the watch, the signals. Runs in: the command line, which is its primary.
 */
import { relative } from "node:path";
import { codeOf, messageOf } from "../errors.js";
import { EXIT } from "../exit-codes.js";
import type { ClusterOptions } from "../options.js";
import type { StopResult } from "../status.js";
import { handleSignals } from "../supervisor/process-signals.js";
import type { RunningCluster } from "../supervisor/running-cluster.js";
import { prepareCluster } from "../supervisor/start-cluster.js";
import { asCommandError } from "./arguments.js";
import { codeDirectories } from "./code-directories.js";
import { FileWatch } from "./file-watch.js";
import { printable } from "./printable.js";
import { placeOf } from "./status-table.js";

/** What suits somebody who is waiting at the screen; flags come before it. */
const IMPATIENT = { drainTimeout: 1_000, stopTimeout: 2_000, maxCrashes: 1 } as const;

/**
 * idle: the application is broken, and the next change starts it; failing: its workers have just crashed.
 * starting → running → failing → idle → starting; starting → idle; any → stopping
 */
type State = "idle" | "starting" | "running" | "failing" | "stopping";

export class Development {
  readonly #options: ClusterOptions;
  readonly #watch: FileWatch;
  /** Asked for now: there is no answer any more when it has been removed. */
  readonly #from = process.cwd();
  /** From the beginning of its start. */
  #cluster: RunningCluster | undefined;
  /** What became of the cluster that has stopped last. */
  #result: StopResult = { killed: 0 };
  #state: State = "idle";
  /** How often it has been started. */
  #starts = 0;
  /** Whether files have changed, or SIGHUP has come, while nothing could be done about it. */
  #isStale = false;
  #onEnd: (exitCode: number) => void = () => {};
  #onFatal: (error: unknown) => void = () => {};

  /** @param directories what to watch; `undefined` for where the workers' file is */
  constructor(options: ClusterOptions, directories: readonly string[] | undefined) {
    this.#options = { ...IMPATIENT, ...options, signals: false };
    this.#watch = new FileWatch(
      () => directories ?? codeDirectories(String(options.worker)),
      (path) => this.#onChange(path),
    );
  }

  /** @returns the exit code */
  async run(): Promise<number> {
    const ended = new Promise<number>((resolve, reject) => {
      this.#onEnd = resolve;
      this.#onFatal = reject;
    });
    const release = handleSignals({
      stop: () => void this.#stop(),
      hurry: () => this.#cluster?.hurry(),
      reload: () => this.#renew(),
    });
    try {
      void this.#start();
      process.exit(await ended);
    } finally {
      release();
      this.#watch.close();
    }
  }

  #onChange(path: string): void {
    console.log(`${printable(relative(this.#from, path)) || "."} has changed`);
    this.#renew();
  }

  /** The workers are to run what is in the files now, as soon as that can be done. */
  #renew(): void {
    if (this.#state === "idle") void this.#start();
    else if (this.#state === "running") this.#reload();
    else this.#isStale = true;
  }

  #reload(): void {
    // The log tells how it ends.
    void this.#cluster?.reload().catch(() => {});
  }

  async #start(): Promise<void> {
    this.#state = "starting";
    this.#starts += 1;
    this.#isStale = false;
    try {
      const cluster = prepareCluster(this.#options);
      this.#cluster = cluster;
      cluster.on("failed", () => {
        if (this.#state === "running") this.#state = "failing";
      });
      cluster.on("stopped", (result) => this.#onStopped(result));
      await cluster.start();
      this.#state = "running";
      const { slots, address } = cluster.status();
      console.log(
        `${slots.length} workers on ${address ? placeOf(address) : "no port"}; watching for changes`,
      );
      if (this.#isStale) this.#reload();
    } catch (error) {
      this.#onFailure(error);
    }
  }

  #onFailure(error: unknown): void {
    if (this.#state === "stopping") return;
    const code = codeOf(error);
    if (code === "HOLDFAST_ERR_CLOSED") return this.#endWith(exitCodeOf(this.#result));
    if (code === "HOLDFAST_ERR_WORKER_FILE" && this.#starts > 1) {
      // It was there before: a build or an editor is writing it anew.
      console.error(`holdfast: ${messageOf(error)}`);
      return this.#wait();
    }
    // The log has told of a crash loop. What a change of a file cannot mend ends the command.
    if (code === "HOLDFAST_ERR_CRASH_LOOP") this.#wait();
    else this.#onFatal(asCommandError(error));
  }

  /** All workers have crashed, or somebody has told it to stop, here or on the control socket. */
  #onStopped(result: StopResult): void {
    this.#cluster = undefined;
    this.#result = result;
    if (this.#state === "failing") this.#wait();
    else if (this.#state === "running") this.#endWith(exitCodeOf(result));
  }

  /** For the change that mends the application, which may have come already. */
  #wait(): void {
    this.#state = "idle";
    if (this.#isStale) void this.#start();
    else console.log("waiting for a change");
  }

  async #stop(): Promise<void> {
    this.#state = "stopping";
    const result = await this.#cluster?.stop();
    this.#onEnd(result ? exitCodeOf(result) : EXIT.done);
  }

  /** In a while, so that who has asked for it on the control socket gets an answer. */
  #endWith(exitCode: number): void {
    this.#state = "stopping";
    setImmediate(() => this.#onEnd(exitCode));
  }
}

function exitCodeOf({ killed }: StopResult): number {
  return killed > 0 ? EXIT.forced : EXIT.done;
}
