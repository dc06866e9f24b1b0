/**
 * `holdfast run --watch`: reloads when a file changes, and waits for the next change when the application is broken.
 * Owns: the cluster, the watch, the signals. Runs in: the command line, which is its primary.
 */
import { dirname, relative } from "node:path";
import { messageOf } from "../errors.js";
import { EXIT } from "../exit-codes.js";
import type { ClusterOptions } from "../options.js";
import { handleSignals } from "../supervisor/process-signals.js";
import { type Cluster, startCluster } from "../supervisor/start-cluster.js";
import { asCommandError } from "./arguments.js";
import { CommandError } from "./command-error.js";
import { FileWatch } from "./file-watch.js";
import { placeOf } from "./status-table.js";

/** What suits somebody who is waiting at the screen; flags come before it. */
const IMPATIENT = { drainTimeout: 1_000, stopTimeout: 2_000, maxCrashes: 1, minUptime: 0 } as const;

/** idle: the application is broken, and the next change starts it. starting → running → idle → starting; any → stopping */
type State = "idle" | "starting" | "running" | "stopping";

export class Development {
  readonly #options: ClusterOptions;
  readonly #watch: FileWatch;
  #cluster: Cluster | undefined;
  #state: State = "idle";
  /** Whether files have changed while nothing could be done about it. */
  #isStale = false;
  #onEnd: (exitCode: number) => void = () => {};

  /** @param directories what to watch; `undefined` for that of the workers' file */
  constructor(options: ClusterOptions, directories: readonly string[] | undefined) {
    this.#options = { ...IMPATIENT, ...options, signals: false };
    this.#watch = new FileWatch(directories ?? [dirname(String(options.worker))], (file) =>
      this.#onChange(file),
    );
  }

  /** @returns the exit code */
  async run(): Promise<number> {
    const ended = new Promise<number>((resolve) => {
      this.#onEnd = resolve;
    });
    const release = handleSignals({
      stop: () => void this.#stop(),
      hurry: () => process.exit(EXIT.forced),
      reload: () => this.#reload(),
    });
    try {
      const failed = this.#start().then(() => new Promise<never>(() => {}));
      // While it starts there is no handle to stop it by: the workers end with this process.
      process.exit(await Promise.race([ended, failed]));
    } finally {
      release();
      this.#watch.close();
    }
  }

  #onChange(file: string): void {
    console.log(`${relative(process.cwd(), file)} has changed`);
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
    this.#isStale = false;
    try {
      const cluster = await startCluster(this.#options);
      this.#cluster = cluster;
      cluster.on("stopped", () => this.#onStopped());
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
    const known = asCommandError(error);
    // What a change of a file cannot mend ends the command.
    if (!isOfTheApplication(error)) throw known;
    this.#state = "idle";
    if (!(known instanceof CommandError)) console.error(messageOf(error));
    if (this.#isStale) void this.#start();
    else console.log("waiting for a change");
  }

  /** All workers have crashed, or somebody has told it to stop. */
  #onStopped(): void {
    this.#cluster = undefined;
    if (this.#state === "stopping") return;
    this.#state = "idle";
    console.log("waiting for a change");
  }

  async #stop(): Promise<void> {
    this.#state = "stopping";
    const result = await this.#cluster?.stop();
    this.#onEnd(result && result.killed > 0 ? EXIT.forced : EXIT.done);
  }
}

function isOfTheApplication(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "HOLDFAST_ERR_CRASH_LOOP";
}
