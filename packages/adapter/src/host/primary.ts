/**
 * The adapter's part in the primary: brings workers and the hub together.
 * Owns: the hub, the pipe in the workers' `stdio`, the listeners on `cluster`. Runs in: primary.
 */
import cluster, { type ClusterSettings, type Worker } from "node:cluster";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import debugModule from "debug";
import { HoldfastError, type MemberInfo } from "../errors.js";
import { Hub } from "../hub/hub.js";
import type { HubMember } from "../hub/hub-member.js";
import type { RecoveryStats } from "../hub/recovery.js";
import type { LinkEvents, LinkKind } from "../link/contract.js";
import { IpcLink } from "../link/ipc.js";
import { PipeLink } from "../link/pipe.js";
import { type PrimaryOptions, type ResolvedPrimaryOptions, resolvePrimaryOptions } from "../options.js";
import { VERSION } from "../version.js";
import { PROTOCOL_VERSION } from "../wire/frame.js";
import {
  type Hello,
  MESSAGE_KEY,
  ours,
  type PipeFds,
  type PrimaryMessage,
  type WorkerMessage,
} from "../wire/handshake.js";
import { type Emitter, type EmitterOptions, Emitters, PRIMARY_WORKER_ID } from "./emitter.js";

const debug = debugModule("holdfast:adapter:primary");

/** A pipe's end arrives in order behind its data; this is for a pipe that something else holds open. */
const EXIT_GRACE_MS = 1_000;

/** `journalFull` is not told again within this time. */
const JOURNAL_FULL_MS = 60_000;

/** What the hub knows of one worker. */
export interface MemberStats extends MemberInfo {
  readonly link: LinkKind;
  /** Frames and bytes that the hub got from it. */
  readonly framesIn: number;
  readonly bytesIn: number;
  /** Frames and bytes that the hub sent to it. */
  readonly framesOut: number;
  readonly bytesOut: number;
  /** Bytes that wait for it. */
  readonly backlogBytes: number;
  /** Volatile packets that were dropped because too much was waiting. */
  readonly dropped: number;
  /** Requests that wait for its answer. */
  readonly unanswered: number;
}

export interface PrimaryStats {
  readonly members: MemberStats[];
  /** Namespaces that some worker has. */
  readonly namespaces: number;
  /** Entries in the table of rooms. */
  readonly rooms: number;
  /** Connection state recovery: the journal and the sessions. */
  readonly recovery: RecoveryStats;
}

export interface PrimaryEvents {
  /** A worker's adapter has joined. */
  join: [member: MemberInfo];
  /** A worker's process is gone, its adapter was closed, or it was cut off; before `stalled` in that case. */
  leave: [member: MemberInfo];
  /** A worker took its messages too slowly and was cut off; more than `maxBacklogBytes` was waiting. */
  stalled: [member: MemberInfo, backlogBytes: number];
  /**
   * More was sent than `journalBytes` keep for as long as clients may come back: some will not be recovered.
   * Once a minute at most; `stats().recovery` has the numbers.
   */
  journalFull: [recovery: RecoveryStats];
}

/** Where the link's pipes are in the workers' `stdio`. */
interface PipePlace {
  readonly stdio: unknown[];
  readonly fds: PipeFds;
  /** What the setting was before. */
  readonly before: unknown;
}

let current: Primary | undefined;

/** The hub's handle in the primary. */
export class Primary extends EventEmitter<PrimaryEvents> {
  readonly #options: ResolvedPrimaryOptions;
  readonly #hub: Hub;
  readonly #pipePlace: PipePlace | undefined;
  /** The descriptors in workers that were forked with our pipes and have not used them up. */
  readonly #pipes = new Map<Worker, PipeFds>();
  /** Workers that said hello again while the end of their earlier link is still to be read. */
  readonly #returning = new Map<Worker, Hello>();
  readonly #members = new Map<Worker, HubMember>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #emitters: Emitters;
  #state: "open" | "closed" = "open";
  #journalFullAt = 0;

  constructor(options: ResolvedPrimaryOptions) {
    super();
    this.#options = options;
    this.#hub = new Hub(options, {
      onJoin: (member) => isWorker(member) && this.emit("join", member),
      onLeave: (member) => this.#onLeave(member),
      onStalled: (member, backlogBytes) => this.#onStalled(member, backlogBytes),
      onJournalFull: () => this.#onJournalFull(),
      onError: (error) => process.emitWarning(error),
    });
    this.#emitters = new Emitters(this.#hub);
    this.#pipePlace = options.link === "pipe" ? addPipe() : undefined;
    cluster.on("fork", this.#onFork);
    cluster.on("message", this.#onMessage);
    cluster.on("disconnect", this.#onDisconnect);
    cluster.on("exit", this.#onExit);
    for (const worker of livingWorkers()) this.#send(worker, { [MESSAGE_KEY]: "invite" });
  }

  /** A snapshot of counters since the start. */
  stats(): PrimaryStats {
    const members = [...this.#hub.members].filter(isWorker).map((member) => ({
      ...member.info,
      link: member.link.kind,
      framesIn: member.framesIn,
      bytesIn: member.bytesIn,
      framesOut: member.outbox.frames,
      bytesOut: member.outbox.bytes,
      backlogBytes: member.outbox.backlogBytes,
      dropped: member.dropped,
      unanswered: member.unanswered,
    }));
    const { namespaceCount, interestSize, recoveryStats } = this.#hub;
    return { members, namespaces: namespaceCount, rooms: interestSize, recovery: recoveryStats };
  }

  /**
   * Reaches the workers' sockets and servers from the primary itself, with the methods of a Socket.IO
   * namespace: broadcast, `socketsJoin`, `socketsLeave`, `disconnectSockets`, `serverSideEmit`,
   * `fetchSockets`. Calls for the same namespace and scope get the same emitter.
   *
   * @param namespace its name; "/" by default
   * @see https://socket.io/docs/v4/server-instance/#utility-methods
   */
  emitter(namespace = "/", options: EmitterOptions = {}): Emitter {
    return this.#emitters.get(namespace, options);
  }

  /**
   * Releases the links and listeners; workers deliver locally from then on. The workers themselves and the
   * user's cluster settings stay. Idempotent.
   */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    cluster.off("fork", this.#onFork);
    cluster.off("message", this.#onMessage);
    cluster.off("disconnect", this.#onDisconnect);
    cluster.off("exit", this.#onExit);
    for (const timer of this.#timers) clearTimeout(timer);
    if (this.#pipePlace) removePipe(this.#pipePlace);
    this.#emitters.close();
    this.#hub.close();
    if (current === this) current = undefined;
  }

  readonly #onFork = (worker: Worker) => {
    const place = this.#pipePlace;
    // The settings hold our array only if nobody replaced `stdio` before this fork.
    if (place && cluster.settings.stdio === place.stdio && worker.process.stdio[place.fds.fromHub]) {
      this.#pipes.set(worker, place.fds);
    }
  };

  readonly #onMessage = (worker: Worker, raw: unknown) => {
    const message = ours<WorkerMessage>(raw);
    if (!message) return;
    switch (message[MESSAGE_KEY]) {
      case "hello":
        return this.#onHello(worker, message);
      case "no-pipe":
        this.#pipes.delete(worker);
        return this.#send(worker, { [MESSAGE_KEY]: "invite" });
      case "frames": {
        const link = this.#members.get(worker)?.link;
        if (link instanceof IpcLink) link.receive(message);
      }
    }
  };

  #onHello(worker: Worker, hello: Hello): void {
    const { protocol, version, probe } = hello;
    if (protocol !== PROTOCOL_VERSION) {
      debug("worker %d speaks protocol %d, not %d", worker.id, protocol, PROTOCOL_VERSION);
      return this.#send(worker, { [MESSAGE_KEY]: "refusal", protocol: PROTOCOL_VERSION, version: VERSION });
    }
    const earlier = this.#members.get(worker);
    if (earlier && this.#hub.has(earlier)) {
      if (earlier.link.kind === "pipe") {
        this.#returning.set(worker, hello);
        return;
      }
      // Said twice before the welcome was there, unasked and because it was invited: it takes either.
      if (earlier.framesIn === 0) return this.#welcome(worker, earlier);
      this.#hub.remove(earlier);
    }
    const binary = probe instanceof Uint8Array;
    const identity = { workerId: worker.id, pid: worker.process.pid ?? 0 };
    debug("worker %d (version %s) says hello", worker.id, version);
    const member = this.#hub.admit(identity, (events) => this.#makeLink(worker, binary, events));
    this.#members.set(worker, member);
    this.#welcome(worker, member);
  }

  #welcome(worker: Worker, { id, link }: HubMember): void {
    const fds = this.#pipes.get(worker);
    this.#send(worker, {
      [MESSAGE_KEY]: "welcome",
      member: id,
      link: fds ? { kind: "pipe", fds } : { kind: "ipc", binary: link instanceof IpcLink && link.binary },
      maxMessageBytes: this.#options.maxMessageBytes,
      maxBacklogBytes: this.#options.maxBacklogBytes,
    });
  }

  #makeLink(worker: Worker, binary: boolean, events: LinkEvents): PipeLink | IpcLink {
    const fds = this.#pipes.get(worker);
    if (!fds) return new IpcLink((message, done) => worker.send(message as never, done), binary, events);
    const { stdio } = worker.process;
    return PipeLink.ofWorker(stdio[fds.toHub] as Socket, stdio[fds.fromHub] as Socket, events);
  }

  /** The link is closed, and with it the pipes: the next one of this worker uses the IPC channel. */
  #onLeave(info: MemberInfo): void {
    if (!isWorker(info)) return;
    this.emit("leave", info);
    const worker = cluster.workers?.[info.workerId];
    if (!worker) return;
    this.#pipes.delete(worker);
    const hello = this.#returning.get(worker);
    if (!hello) return;
    this.#returning.delete(worker);
    this.#onHello(worker, hello);
  }

  /** The channel is gone: the end of an `ipc` link, while a pipe lives as long as the process. */
  readonly #onDisconnect = (worker: Worker) => {
    const link = this.#members.get(worker)?.link;
    if (link instanceof IpcLink) link.lost();
  };

  readonly #onExit = (worker: Worker) => {
    this.#pipes.delete(worker);
    this.#returning.delete(worker);
    const member = this.#members.get(worker);
    if (!member) return;
    this.#members.delete(worker);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#hub.remove(member);
    }, EXIT_GRACE_MS);
    timer.unref();
    this.#timers.add(timer);
  };

  #onStalled(member: MemberInfo, backlogBytes: number): void {
    console.error(
      `holdfast: worker ${member.workerId} (pid ${member.pid}) does not take its messages: ` +
        `${backlogBytes} bytes are waiting. It was cut off from the other workers` +
        `${this.#options.killStalled ? " and is being ended" : ""}.`,
    );
    this.emit("stalled", member, backlogBytes);
    const worker = cluster.workers?.[member.workerId];
    if (!worker) return;
    if (this.#options.killStalled) worker.process.kill("SIGKILL");
    else this.#send(worker, { [MESSAGE_KEY]: "invite" });
  }

  #onJournalFull(): void {
    const now = Date.now();
    if (now - this.#journalFullAt < JOURNAL_FULL_MS) return;
    this.#journalFullAt = now;
    this.emit("journalFull", this.#hub.recoveryStats);
  }

  #send(worker: Worker, message: PrimaryMessage): void {
    if (!worker.isConnected()) return;
    worker.send(message as never, (error) => {
      if (error) debug("no word to worker %d: %s", worker.id, error.message);
    });
  }
}

/**
 * Opens the hub that connects the workers' adapters. Call it in the primary, before the first fork if the
 * workers' messages are to travel on pipes, which cost less than the IPC channel and wait for no handles.
 *
 * @returns the hub's handle: `stats()`, events `join`, `leave` and `stalled`, `close()`
 * @throws {HoldfastError} `HOLDFAST_ERR_NOT_PRIMARY` in a worker, `HOLDFAST_ERR_ALREADY_SET_UP` when called
 *   twice, `HOLDFAST_ERR_INVALID_OPTION`
 * @see https://nodejs.org/api/cluster.html#clustersetupprimarysettings
 */
export function setupPrimary(options?: PrimaryOptions): Primary {
  if (!cluster.isPrimary) {
    throw new HoldfastError(
      "HOLDFAST_ERR_NOT_PRIMARY",
      "setupPrimary() was called in a worker. Call it in the primary, before cluster.fork().",
    );
  }
  if (current) {
    throw new HoldfastError(
      "HOLDFAST_ERR_ALREADY_SET_UP",
      "setupPrimary() was called twice: one hub serves all workers. Keep the handle of the first call.",
    );
  }
  current = new Primary(resolvePrimaryOptions(options));
  return current;
}

function isWorker({ workerId }: MemberInfo): boolean {
  return workerId !== PRIMARY_WORKER_ID;
}

function livingWorkers(): Worker[] {
  return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
}

/** Adds two pipes behind what the user has set, or would get by default. */
function addPipe(): PipePlace {
  const before = cluster.settings.stdio;
  const stdio = stdioWithIpc(before);
  const length = stdio.push("pipe", "pipe");
  cluster.setupPrimary({ stdio } as ClusterSettings);
  return { stdio, fds: { toHub: length - 2, fromHub: length - 1 }, before };
}

function removePipe({ stdio, before }: PipePlace): void {
  if (cluster.settings.stdio !== stdio) return;
  // Not `delete`: setupPrimary() merges what it is given into what it has.
  cluster.setupPrimary({ stdio: before } as ClusterSettings);
}

function stdioWithIpc(before: unknown): unknown[] {
  if (Array.isArray(before)) return [...before];
  if (typeof before === "string") return [before, before, before, "ipc"];
  // An array in `stdio` switches `silent` off. So the first three entries look it up when Node.js reads them,
  // at each fork: `cluster.setupPrimary({ silent: true })` works before and after this.
  const stdio: unknown[] = [0, 1, 2, "ipc"];
  for (const fd of [0, 1, 2]) {
    Object.defineProperty(stdio, fd, {
      enumerable: true,
      get: () => (cluster.settings.silent ? "pipe" : fd),
    });
  }
  return stdio;
}
