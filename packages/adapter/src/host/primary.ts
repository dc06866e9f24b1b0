/**
 * The hub's handle in the primary, and `setupPrimary()`.
 * Owns: the hub, the workers' part in it, the primary's emitters. Runs in: primary.
 */
import cluster from "node:cluster";
import { HoldfastError } from "../errors.js";
import { ApplicationEvents } from "../faults.js";
import type { HostDirectory } from "../host-directory.js";
import type { BackplaneFactory } from "../hub/backplane.js";
import { Hub } from "../hub/hub.js";
import { isServer, statsOf } from "../hub/hub-stats.js";
import type { MemberInfo } from "../member-info.js";
import { OptionReader } from "../option-reader.js";
import { type PrimaryOptions, type ResolvedPrimaryOptions, resolvePrimaryOptions } from "../options.js";
import { processWide } from "../process-wide.js";
import type { PrimaryEvents, PrimaryStats } from "../stats.js";
import { ClusterWorkers } from "./cluster-workers.js";
import { type Emitter, type EmitterOptions, Emitters, readEmitterOptions } from "./emitter.js";
import { putUpSign, takeDownSign } from "./hub-sign.js";
import { inProcess } from "./in-process.js";
import { mainThreadOnly } from "./main-thread.js";

/** `journalFull` is emitted at most once in this time. */
const JOURNAL_FULL_MS = 60_000;

/** The hub of this process. */
const slot = processWide("primary", () => ({ current: undefined as Primary | undefined }));

/** Those whom the hub admits, as its handle deals with them. */
export interface Workers {
  /** The member has left the hub, by its own word or not. */
  onLeave(member: MemberInfo): void;
  /** Asks one that was cut off to join again. */
  invite(member: MemberInfo): void;
  /** Ends the process with SIGKILL: one that is blocked hears no other signal. */
  kill(member: MemberInfo): void;
  /** Failures of the hub that no call can return. Without it, it is enough that this process has said them. */
  tell?(error: HoldfastError): void;
  /** Releases what is not the hub's. */
  close(): void;
}

/** The hub's handle in the primary. */
export class Primary extends ApplicationEvents<PrimaryEvents> {
  readonly #options: ResolvedPrimaryOptions;
  readonly #hub: Hub;
  readonly #workers: Workers;
  readonly #emitters: Emitters;
  #state: "open" | "closed" = "open";
  #journalFullAt = Number.NEGATIVE_INFINITY;

  /** @param makeWorkers brings those whom the hub admits */
  constructor(options: ResolvedPrimaryOptions, makeWorkers: (hub: Hub) => Workers) {
    super();
    this.#options = options;
    this.#hub = new Hub(
      options,
      {
        onJoin: (member) => isServer(member) && this.emit("join", member),
        onLeave: (member) => this.#onLeave(member),
        onStalled: (member, backlogBytes) => this.#onStalled(member, backlogBytes),
        onJournalFull: () => this.#onJournalFull(),
        onError: (error) => {
          process.emitWarning(error);
          this.#workers.tell?.(error);
        },
      },
      { backplane: options.backplane as BackplaneFactory | undefined },
    );
    this.#emitters = new Emitters(this.#hub);
    this.#workers = makeWorkers(this.#hub);
  }

  /** The hosts of the application, for the option `hosts` of `@holdfast/sticky`. */
  get hosts(): HostDirectory {
    return this.#hub.knownHosts;
  }

  /** What the hub knows now: members, rooms, and the journal of recovery. */
  stats(): PrimaryStats {
    return statsOf(this.#hub);
  }

  /**
   * Broadcasts and requests from the primary itself, with the methods of a Socket.IO namespace. Calls for the
   * same namespace and scope return the same emitter.
   *
   * @param namespace its name; "/" by default
   * @throws {HoldfastError} `HOLDFAST_ERR_CLOSED` after `close()`
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
   * @see https://socket.io/docs/v4/server-instance/#utility-methods
   */
  emitter(namespace = "/", options: EmitterOptions = {}): Emitter {
    if (this.#state === "closed") {
      throw new HoldfastError(
        "HOLDFAST_ERR_CLOSED",
        "emitter() was called on a hub that has been closed. Call it on what the last setupPrimary() returned.",
      );
    }
    const fields = new OptionReader<EmitterOptions>("emitter", options);
    return this.#emitters.get(namespace, fields.end(readEmitterOptions(fields)));
  }

  /**
   * Says goodbye to the workers, after everything that was sent to them, and releases links and listeners. From
   * then on each worker's broadcasts reach its own clients only, until there is a new hub. The workers and your
   * cluster settings stay. Calling it again changes nothing.
   */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    inProcess().withdraw(this.#hub);
    this.#workers.close();
    this.#emitters.close();
    const closed = this.#hub.close();
    if (slot.current === this) {
      slot.current = undefined;
      takeDownSign();
    }
    await closed;
  }

  #onLeave(info: MemberInfo): void {
    if (!isServer(info)) return;
    this.emit("leave", info);
    this.#workers.onLeave(info);
  }

  #onStalled(member: MemberInfo, backlogBytes: number): void {
    const text =
      `worker ${member.workerId} (pid ${member.pid}) does not take its messages: ${backlogBytes} bytes are waiting. ` +
      `It was cut off from the other workers${this.#options.killStalled ? " and is being ended" : ""}.`;
    console.error(`holdfast: ${text}`);
    this.emit("stalled", member, backlogBytes);
    this.#workers.tell?.(new HoldfastError("HOLDFAST_ERR_WORKER_STALLED", text));
    if (this.#options.killStalled) this.#workers.kill(member);
    else this.#workers.invite(member);
  }

  #onJournalFull(): void {
    const now = performance.now();
    if (now - this.#journalFullAt < JOURNAL_FULL_MS) return;
    this.#journalFullAt = now;
    this.emit("journalFull", this.#hub.recoveryStats);
    this.#workers.tell?.(
      new HoldfastError(
        "HOLDFAST_ERR_JOURNAL_FULL",
        "More was sent than the hub's journal can keep for as long as clients may come back, so some will not be " +
          "recovered. Run a hub with more: npx holdfast-hub --journal-bytes …",
      ),
    );
  }
}

/**
 * Opens the hub that connects the workers' adapters. Call it in the primary, once, before the first fork.
 * Workers that were forked earlier work too, but their messages travel on the IPC channel, which costs more
 * than pipes and is shared with the connections that the primary hands over.
 *
 * @returns the hub's handle: `stats()`, `emitter()`, `close()`, and events
 * @throws {HoldfastError} `HOLDFAST_ERR_NOT_PRIMARY` in a worker
 * @throws {HoldfastError} `HOLDFAST_ERR_WORKER_THREAD` outside of the process' main thread
 * @throws {HoldfastError} `HOLDFAST_ERR_ALREADY_SET_UP` while an earlier hub of this process is open
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
 * @see https://nodejs.org/api/cluster.html#clustersetupprimarysettings
 */
export function setupPrimary(options?: PrimaryOptions): Primary {
  mainThreadOnly("setupPrimary");
  if (!cluster.isPrimary) {
    throw new HoldfastError(
      "HOLDFAST_ERR_NOT_PRIMARY",
      "setupPrimary() was called in a worker. Call it in the primary, before cluster.fork().",
    );
  }
  if (slot.current) {
    throw new HoldfastError(
      "HOLDFAST_ERR_ALREADY_SET_UP",
      "setupPrimary() was called twice: one hub serves all workers. Keep the handle of the first call.",
    );
  }
  const resolved = resolvePrimaryOptions(options);
  slot.current = new Primary(resolved, (hub) => {
    const workers = new ClusterWorkers(hub, resolved.link === "pipe");
    inProcess().offer(hub);
    return workers;
  });
  putUpSign();
  return slot.current;
}
