/**
 * The handle of `startCluster()`, and the order in which the parts of a cluster open and close.
 * Owns: the server, the router, the hub, the supervisor, the control socket, the signals. Runs in: primary.
 *
 * Longer than other files: opening, stopping and closing name the same parts in opposite orders, and are compared.
 */
import cluster, { type ClusterSettings } from "node:cluster";
import { createServer } from "node:http";
import type { Server as NetServer } from "node:net";
import { basename } from "node:path";
import { type Primary as Hub, setupPrimary as setupHub } from "@holdfast/adapter";
import { type StickyPrimary as Router, setupPrimary as setupRouter } from "@holdfast/sticky";
import type { ListenAddress } from "../address.js";
import { ClusterAdmin } from "../admin/cluster-admin.js";
import { numberedNames } from "../control/cluster-names.js";
import { ControlServer } from "../control/server.js";
import { currentDirectory } from "../directories.js";
import { codeOf, HoldfastError, messageOf, textOf } from "../errors.js";
import { EXIT } from "../exit-codes.js";
import { ApplicationEvents, runApplication } from "../faults.js";
import type { StopOptions } from "../options.js";
import { OwnHealth } from "../own-health.js";
import type { RebalanceResult, ReloadResult, ScaleResult } from "../reload.js";
import type { ClusterEvents, ClusterState, ClusterStatus, StopResult } from "../status.js";
import { ClusterWatch, type WatchedCluster } from "../watch/cluster-watch.js";
import type { ControlAnswer, ControlRequest } from "../wire/control-messages.js";
import { checkPlace, listen } from "./listening.js";
import { movesThrough } from "./moves.js";
import { logEvents } from "./operator-log.js";
import { handleSignals } from "./process-signals.js";
import { MAX_WORKERS, type ResolvedClusterOptions, resolveStopOptions } from "./resolve-options.js";
import type { Cluster } from "./start-cluster.js";
import { Supervisor } from "./supervisor.js";

/** Each command that waits for a reload listens. */
const MAX_LISTENERS = 100;

export class RunningCluster extends ApplicationEvents<ClusterEvents> implements Cluster {
  readonly hub: Hub;
  readonly router: Router;
  readonly #options: ResolvedClusterOptions;
  readonly #onStopped: () => void;
  readonly #server: NetServer;
  readonly #supervisor: Supervisor;
  readonly #health: OwnHealth;
  readonly #startedAt = performance.now();
  #name: string;
  #control: ControlServer | undefined;
  #admin: ClusterAdmin | undefined;
  /** From when somebody wants to look. */
  #watching: ClusterWatch | undefined;
  #releaseSignals = () => {};
  #onHurry = () => {};
  /** Settles when nothing is waited for any more: the process is about to end. */
  readonly #hurried = new Promise<void>((resolve) => {
    this.#onHurry = resolve;
  });
  #isToldToStop = false;
  /** Ends waits of what opens. */
  readonly #stopping = new AbortController();
  /** Whether the process exits when the cluster has stopped. */
  #afterwards: "stay" | "exit" = "stay";
  #failure: HoldfastError | undefined;
  /** Settles when nothing more is opened. */
  #opening: Promise<void> = Promise.resolve();
  #stopped: Promise<StopResult> | undefined;
  // starting → running → stopping → stopped; starting → stopping
  #state: ClusterState = "starting";

  constructor(options: ResolvedClusterOptions, onStopped: () => void) {
    super();
    this.setMaxListeners(MAX_LISTENERS);
    this.#options = options;
    this.#onStopped = onStopped;
    this.#name = options.name ?? nameOfDirectory();
    this.#server = options.server ?? createServer();
    setUpForks(options);
    this.hub = naming("adapter", () => setupHub(options.adapter));
    const { hosts } = this.hub;
    try {
      // What both count has one number.
      const slotOf = (workerId: number) => this.#supervisor.slotOf(workerId);
      this.router = naming("sticky", () => setupRouter(this.#server, { hosts, slotOf, ...options.sticky }));
    } catch (error) {
      void this.hub.close();
      throw error;
    }
    this.#health = new OwnHealth();
    this.#supervisor = new Supervisor(
      options,
      this.router,
      movesThrough(this.router, options.drainTimeoutMs),
      this,
    );
    logEvents(this, options.log);
    this.router.on("warning", (error) => this.emit("warning", error));
    this.on("failed", (error) => {
      this.#failure = error;
      void this.#stopAndExit();
    });
    if (!options.signals) return;
    this.#releaseSignals = handleSignals({
      stop: (why) => this.#stopFor(why),
      hurry: () => this.hurry(),
      // Whoever looks at the log has been told of its failure by then.
      reload: () => void this.reload().catch(() => {}),
    });
  }

  get name(): string {
    return this.#name;
  }

  get adminUrl(): string | undefined {
    return this.#admin?.url;
  }

  get address(): ListenAddress | undefined {
    // Of a Unix socket, Node.js tells the path also when it is closed.
    return this.#server.listening ? (this.#server.address() ?? undefined) : undefined;
  }

  /** Whether somebody has stopped it by command, and has been told so, or will be. */
  get isToldToStop(): boolean {
    return this.#isToldToStop;
  }

  async start(): Promise<void> {
    this.#opening = this.#open();
    try {
      await this.#opening;
    } catch (error) {
      await this.stop({ timeout: 0 });
      throw error;
    }
  }

  status(): ClusterStatus {
    return {
      name: this.#name,
      state: this.#state,
      pid: process.pid,
      sample: this.#health.sample,
      address: this.address,
      worker: this.#options.worker,
      uptimeMs: Math.round(performance.now() - this.#startedAt),
      reloads: this.#supervisor.reloads,
      reload: this.#supervisor.reload,
      slots: this.#supervisor.slots(),
    };
  }

  async reload(): Promise<ReloadResult> {
    this.#supervisor.throwIfStopping();
    return this.#supervisor.reloadAll();
  }

  /** The order that is carried out now, to be given to {@link giveUp}. */
  get order(): AbortController | undefined {
    return this.#supervisor.order;
  }

  /** An order makes way for the next one: who is not ready yet is ended, the others stay as they are. */
  giveUp(order: AbortController): void {
    this.#supervisor.giveUp(order);
  }

  async scale(workers: number): Promise<ScaleResult> {
    if (!(Number.isInteger(workers) && workers >= 1 && workers <= MAX_WORKERS)) {
      throw new HoldfastError(
        "HOLDFAST_ERR_INVALID_OPTION",
        `scale() takes a number of workers, an integer from 1 to ${MAX_WORKERS}, not ${textOf(workers)}.`,
      );
    }
    this.#supervisor.throwIfStopping();
    return this.#supervisor.scale(workers);
  }

  async rebalance(): Promise<RebalanceResult> {
    this.#supervisor.throwIfStopping();
    return this.#supervisor.rebalance();
  }

  stop(options?: StopOptions): Promise<StopResult> {
    const { timeoutMs } = resolveStopOptions(options, this.#options.stopTimeoutMs);
    if (this.#stopped) return this.#stopped;
    let settle: (result: Promise<StopResult>) => void = () => {};
    // Remembered first: whoever is told that it stops may call this as well.
    this.#stopped = new Promise((resolve) => {
      settle = resolve;
    });
    settle(this.#stop(timeoutMs));
    return this.#stopped;
  }

  /** Does not wait any more, neither for the workers nor for what closes. */
  hurry(): void {
    this.#supervisor.hurry();
    this.#onHurry();
  }

  async #stop(timeoutMs: number): Promise<StopResult> {
    this.#state = "stopping";
    this.#stopping.abort();
    // Closed amid its start to listen, it may never say what came of that.
    if (this.#server.listening || this.#options.server) this.#server.close();
    const [result] = await Promise.all([this.#supervisor.stop(timeoutMs), this.#untilNothingOpens()]);
    for (const part of [this.router, this.hub, this.#control, this.#admin]) await this.#close(part);
    this.#watching?.close();
    this.#health.close();
    // A process that is about to end needs them until then: one more signal would end it as one that was killed.
    if (this.#afterwards === "stay") this.#releaseSignals();
    this.#state = "stopped";
    this.#onStopped();
    this.emit("stopped", result);
    // In a while, so that who has asked for it on the control socket gets an answer.
    if (this.#afterwards === "exit") setImmediate(() => process.exit(this.#exitCode(result)));
    return result;
  }

  /** One that fails keeps none of the others, nor does one that hangs when somebody is in a hurry. */
  async #close(part: { close(): Promise<void> } | undefined): Promise<void> {
    try {
      await Promise.race([part?.close(), this.#hurried]);
    } catch (error) {
      this.emit("warning", error as Error);
    }
  }

  #stopFor(why: string | undefined): void {
    if (why !== undefined && !this.#stopped) runApplication(() => this.#options.log(why));
    void this.#stopAndExit();
  }

  /** A stop that nobody in this process has asked for ends the process, if that is left to us. */
  #stopAndExit(timeoutMs?: number): Promise<StopResult> {
    const stopped = this.stop(timeoutMs === undefined ? {} : { timeout: timeoutMs });
    // Not before: a timeout that is out of its range is refused.
    if (this.#options.signals) this.#afterwards = "exit";
    return stopped;
  }

  #exitCode({ killed }: StopResult): number {
    if (this.#failure) return EXIT.failed;
    return killed > 0 ? EXIT.forced : EXIT.done;
  }

  /** One part after another, unless it is stopped meanwhile: {@link #stop} closes those that are there by then. */
  async #open(): Promise<void> {
    const { listen: place } = this.#options;
    const { signal } = this.#stopping;
    const steps = [
      () => place && checkPlace(place, signal),
      () => this.#openControl(),
      () => this.#openAdmin(),
      () => this.#supervisor.start(),
      () => place && listen(this.#server, place, signal),
    ];
    for (const step of steps) {
      this.#throwIfEnded();
      try {
        await step();
      } catch (error) {
        // What fails amid the stop fails by it, or matters no more.
        this.#throwIfEnded();
        throw error;
      }
    }
    this.#throwIfEnded();
    this.#state = "running";
  }

  /** A name that is being looked up cannot be given up: what listens then is closed as soon as it does. */
  async #untilNothingOpens(): Promise<void> {
    await Promise.race([this.#opening, this.#hurried]).catch(() => {});
    if (this.#server.listening) this.#server.close();
  }

  #throwIfEnded(): void {
    if (this.#failure) throw this.#failure;
    this.#supervisor.throwIfStopping();
  }

  async #openAdmin(): Promise<void> {
    const { admin } = this.#options;
    if (!admin) return;
    const cluster = {
      ...this.#watched(),
      reload: () => this.reload(),
      scale: (workers: number) => this.scale(workers),
      restart: (slot: number, workerId: number) => this.#supervisor.restart(slot, workerId),
    };
    this.#admin = await ClusterAdmin.open(cluster, this.#watch(), admin, (error) =>
      this.emit("warning", error),
    );
  }

  #watched(): WatchedCluster {
    return { events: this, hub: this.hub, router: this.router, status: () => this.status() };
  }

  #watch(): ClusterWatch {
    this.#watching ??= new ClusterWatch(this.#watched(), ["reload", "scale", "restart"]);
    return this.#watching;
  }

  async #openControl(): Promise<void> {
    const { control, name } = this.#options;
    if (control === false || process.platform === "win32") return;
    const names = name === undefined ? numberedNames(this.#name) : [name];
    const path = typeof control === "string" ? control : undefined;
    try {
      this.#control = await ControlServer.open(
        { names, path },
        {
          onRequest: (request, say) => this.#onRequest(request, say),
          onLost: (error) => this.emit("warning", error),
        },
        this.#stopping.signal,
      );
    } catch (error) {
      if (codeOf(error) !== "HOLDFAST_ERR_CONTROL_SOCKET") throw error;
      this.emit("warning", error as HoldfastError);
      return;
    }
    this.#name = this.#control.name;
  }

  async #onRequest(request: ControlRequest, say: (answer: ControlAnswer) => void): Promise<unknown> {
    switch (request.command) {
      case "status":
        return this.status();
      case "live":
        return this.#watch().status();
      case "reload":
        return this.#withProgress(say, () => this.reload());
      case "rebalance":
        return this.rebalance();
      case "scale":
        return this.scale(request.workers);
      case "stop": {
        const stopped = this.#stopAndExit(request.timeoutMs);
        this.#isToldToStop = true;
        return stopped;
      }
    }
  }

  async #withProgress<T>(say: (answer: ControlAnswer) => void, order: () => Promise<T>): Promise<T> {
    const onProgress = (progress: ClusterEvents["reload:progress"][0]) => say({ kind: "progress", progress });
    this.on("reload:progress", onProgress);
    try {
      return await order();
    } finally {
      this.off("reload:progress", onProgress);
    }
  }
}

/** What the workers run from now on; the adapter's pipes come behind this. */
function setUpForks({ worker, args, execArgv }: ResolvedClusterOptions): void {
  // Fd 2 is a pipe, so that the last words of a worker are known.
  cluster.setupPrimary({
    exec: worker,
    args: [...args],
    execArgv: [...(execArgv ?? process.execArgv)],
    stdio: ["inherit", "inherit", "pipe", "ipc"],
  } as ClusterSettings);
}

/** Says which of the two set-ups has refused its options. */
function naming<T>(option: string, setUp: () => T): T {
  try {
    return setUp();
  } catch (error) {
    if (codeOf(error) !== "HOLDFAST_ERR_INVALID_OPTION") throw error;
    const text = `The option "${option}" of startCluster() is for another package, which says: ${messageOf(error)}`;
    throw new HoldfastError("HOLDFAST_ERR_INVALID_OPTION", text, { cause: error });
  }
}

function nameOfDirectory(): string {
  const name = basename(currentDirectory() ?? "")
    .replace(/[^\w.-]/g, "-")
    // What begins with a hyphen looks like a flag on the command line.
    .replace(/^[.-]+/, "")
    .slice(0, 60);
  return name === "" ? "holdfast" : name;
}
