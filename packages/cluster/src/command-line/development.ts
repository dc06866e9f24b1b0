/**
 * `holdfast run --watch`: reloads when a file changes, and waits for the next change when the application is broken.
 * Owns: the cluster, the watch, the signals. Runs in: the command line, which is its primary.
 */
import { relative } from "node:path";
import { currentDirectory } from "../directories.js";
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
import { Overtaking } from "./overtaking.js";
import { printable } from "./printable.js";
import { placeOf } from "./status-table.js";

/** What suits somebody who is waiting at the screen; flags come before it. */
const IMPATIENT = { drainTimeout: 1_000, stopTimeout: 2_000, maxCrashes: 1 } as const;

/**
 * idle: the application is broken, and the next change starts it; overtaken: its start is given up for the next one;
 * failing: its workers have just crashed.
 *
 * starting → running ⇄ reloading; running or reloading → failing; starting → overtaken; failing, overtaken or starting
 * → idle → starting; any → stopping
 */
type State = "idle" | "starting" | "overtaken" | "running" | "reloading" | "failing" | "stopping";

export class Development {
  readonly #options: ClusterOptions;
  readonly #watch: FileWatch;
  /** Asked for now: there is no answer any more when it has been removed. */
  readonly #from = currentDirectory();
  /** From the beginning of its start. */
  #cluster: RunningCluster | undefined;
  #state: State = "idle";
  /** How often it has been started. */
  #starts = 0;
  /** How often files have changed, or SIGHUP has come. */
  #changes = 0;
  /** How many of these were there when what was in the files was tried last. */
  #tried = 0;
  /** Of a start, whose cluster it is, or of an order, which may be one by command. */
  readonly #overtaking = new Overtaking<RunningCluster | AbortController>((what) => this.#giveUp(what));
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
      stop: (why) => void this.#stop(why),
      hurry: () => this.#cluster?.hurry(),
      reload: () => this.#renew(),
    });
    try {
      void this.#start();
      process.exit(await ended);
    } finally {
      release();
      this.#overtaking.cancel();
      this.#watch.close();
    }
  }

  #onChange(path: string): void {
    const told = this.#from === undefined ? path : relative(this.#from, path);
    console.log(`${printable(told) || "."} has changed`);
    this.#renew();
  }

  /** The workers are to run what is in the files now, as soon as that can be done. */
  #renew(): void {
    this.#changes += 1;
    if (this.#state === "idle") void this.#start();
    else if (this.#state === "running") void this.#reload();
    else if (this.#state === "starting" || this.#state === "reloading") this.#overtake();
  }

  /** What goes on now makes way in a while. */
  #overtake(): void {
    const what = this.#state === "starting" ? this.#cluster : this.#cluster?.order;
    if (what) this.#overtaking.arm(what);
  }

  #giveUp(what: RunningCluster | AbortController): void {
    if (what instanceof AbortController) this.#cluster?.giveUp(what);
    else if (this.#state === "starting") {
      this.#state = "overtaken";
      console.log("the start was given up, since files have changed");
      void what.stop({ timeout: 0 });
    }
  }

  /** @param changes how many there were when it began */
  #hasTried(changes: number, hasMadeWay = false): void {
    this.#tried = changes;
    this.#overtaking.end(hasMadeWay);
  }

  async #reload(): Promise<void> {
    this.#state = "reloading";
    const changes = this.#changes;
    // It waits for its turn behind what goes on.
    this.#overtake();
    try {
      await this.#cluster?.reload();
      this.#hasTried(changes);
    } catch (error) {
      // The log tells how it ends. One that ends with the cluster has tried nothing.
      if (codeOf(error) === "HOLDFAST_ERR_CLOSED") return this.#overtaking.cancel();
      this.#hasTried(changes, codeOf(error) === "HOLDFAST_ERR_OVERTAKEN");
    }
    if (this.#state === "reloading") this.#run();
  }

  #run(): void {
    this.#state = "running";
    if (this.#tried < this.#changes) void this.#reload();
  }

  async #start(): Promise<void> {
    this.#state = "starting";
    this.#starts += 1;
    const changes = this.#changes;
    try {
      const cluster = prepareCluster(this.#options);
      this.#cluster = cluster;
      cluster.on("failed", () => {
        if (this.#state === "running" || this.#state === "reloading") this.#state = "failing";
      });
      cluster.on("stopped", (result) => this.#onStopped(cluster, result));
      await cluster.start();
      this.#hasTried(changes);
      const { slots, address } = cluster.status();
      console.log(
        `${slots.length} workers on ${address ? placeOf(address) : "no port"}; watching for changes`,
      );
      this.#run();
    } catch (error) {
      this.#onFailure(error, changes);
    }
  }

  /** @param changes how many there were when the start began */
  #onFailure(error: unknown, changes: number): void {
    this.#hasTried(changes, this.#state === "overtaken");
    if (this.#state === "stopping") return;
    if (this.#state === "overtaken") return this.#wait();
    const code = codeOf(error);
    if (code === "HOLDFAST_ERR_WORKER_FILE" && this.#starts > 1) {
      // It was there before: a build or an editor is writing it anew.
      console.error(`holdfast: ${messageOf(error)}`);
      return this.#wait();
    }
    // The log has told of a crash loop. What a change of a file cannot mend ends the command.
    if (code === "HOLDFAST_ERR_CRASH_LOOP") this.#wait();
    else this.#onFatal(asCommandError(error));
  }

  /** Its start was given up, all workers have crashed, or somebody has told it to stop, here or on the control socket. */
  #onStopped(cluster: RunningCluster, result: StopResult): void {
    this.#cluster = undefined;
    if (this.#state === "stopping") return;
    // Whatever it stopped for before: who has told it so has been told that it is done.
    if (cluster.isToldToStop) this.#endWith(exitCodeOf(result));
    else if (this.#state === "failing") this.#wait();
  }

  /** For the change that mends the application, which may have come already. */
  #wait(): void {
    this.#state = "idle";
    if (this.#tried < this.#changes) void this.#start();
    else console.log("waiting for a change");
  }

  async #stop(why?: string): Promise<void> {
    if (why !== undefined && this.#state !== "stopping") console.error(`holdfast: ${why}`);
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
