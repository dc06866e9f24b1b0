/** Options as given and as resolved; each is checked here, once. Runs in: primary and workers. */
import type { HoldfastError } from "./errors.js";
import { runApplication } from "./faults.js";
import { MAX_TIMER_MS, OptionReader } from "./option-reader.js";
import { wholePath } from "./whole-path.js";

const MAX_BYTES = 2 ** 31 - 1;
const BACKPLANE = "what redisStreams() of @holdfast/adapter/redis-streams returns";

/** Options of `createAdapter()`. */
export interface AdapterOptions {
  /**
   * How long to wait for the other workers' answers, and how long the close of a connection may wait for events that are
   * in flight with `connectionStateRecovery`.
   * Milliseconds, integer, 1–2147483647 (the Node.js timer limit).
   * `io.timeout(ms)` overrides it for `fetchSockets()` and for broadcasts with acknowledgements.
   * @default 5000
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION` outside that range
   * @see https://nodejs.org/api/timers.html
   */
  requestsTimeout?: number;
  /**
   * Servers hear each other when their scope and namespace are the same. Give the servers of one process
   * different scopes if they share a path.
   * @default the server's path (`io.path()`), "/socket.io" unless changed
   */
  scope?: string;
  /**
   * Whether to tell the hub which rooms have a socket here, so that broadcasts go only to workers that need
   * them. When it is off, this worker gets every broadcast of its namespaces, and joining a room costs no
   * message.
   * @default true
   */
  interest?: boolean;
  /**
   * Where the hub is, which passes messages on between the processes. `"auto"`: in the parent process, if that has
   * called `setupPrimary()`; in this process, if it is no worker of `node:cluster`; otherwise in a process of its own,
   * which the first worker that needs it starts, and which ends some seconds after the last has left. `{ path }`: in a
   * process that you run yourself, `npx holdfast-hub --path …`; its socket has that path, of at most 107 bytes (103 on
   * macOS).
   * @default "auto"
   */
  hub?: "auto" | { readonly path: string };
  /**
   * Joins this process with those of other hosts, if it has its hub within itself, or in a process that the first worker
   * starts: what `redisStreams()` of `@holdfast/adapter/redis-streams` returns; for a process of its own, with a `url`.
   * Where there is a primary that has called `setupPrimary()`, that has this option, and for a hub that you run yourself,
   * `holdfast-hub` has others.
   * @default none
   */
  backplane?: BackplaneOption;
  /**
   * Called with failures that no call can return: no hub in the primary, a lost link, a version that does not
   * match, a full backlog. Each is reported once for the process, not once for each namespace.
   * @default `process.emitWarning(error)`
   */
  onError?: (error: HoldfastError) => void;
}

/** Options of the adapter's `setupPrimary()`. */
export interface PrimaryOptions {
  /**
   * How messages travel. `"pipe"` adds two pipes to the `stdio` of workers that are forked from now on;
   * `"ipc"` uses the cluster's IPC channel. Workers without the pipes (forked earlier, or with `stdio`
   * replaced) use the IPC channel in either case.
   * @default "pipe"
   */
  link?: "pipe" | "ipc";
  /**
   * How much may wait for one worker before the workers that send to it are slowed down. As much may wait in a
   * worker for the primary before its broadcasts are dropped. Bytes, integer, 1048576–2147483647. Volatile
   * packets are dropped when more than a sixteenth of it is waiting.
   * @default 67108864 (64 MiB)
   */
  maxBacklogBytes?: number;
  /**
   * For how long a worker may take nothing, while more than `maxBacklogBytes` is waiting for it, before it
   * counts as stalled. Milliseconds, integer, 100–2147483647 (the Node.js timer limit). Time in which the
   * primary's own event loop is blocked does not count.
   * @default 10000
   * @see https://nodejs.org/api/timers.html
   */
  stallTimeout?: number;
  /**
   * The largest message that workers of this host send. What comes from other hosts may be larger, if it may be there.
   * Bytes, integer, 65536–`maxBacklogBytes`.
   * @default 33554432 (32 MiB), or `maxBacklogBytes` if that is less
   */
  maxMessageBytes?: number;
  /**
   * How much memory the hub may use for packets that clients may come back for (`connectionStateRecovery`).
   * When there are more, the oldest are dropped first. Bytes, integer, 1048576–2147483647.
   * @default 67108864 (64 MiB)
   */
  journalBytes?: number;
  /**
   * Whether a stalled worker is killed (with SIGKILL: a blocked process reacts to no other signal), so that
   * its clients reconnect elsewhere. When it is off, the worker is only cut off from the others.
   * @default true
   */
  killStalled?: boolean;
  /**
   * Joins the workers of several hosts: what `redisStreams()` of `@holdfast/adapter/redis-streams` returns.
   * @default none: the workers of this primary are by themselves
   */
  backplane?: BackplaneOption;
}

/** What joins hosts; made by `redisStreams()`. */
export interface BackplaneOption {
  /** Equal for hosts that are one cluster. */
  readonly name: string;
  open(limits: never, events: never): unknown;
}

export type ResolvedAdapterOptions = Readonly<Required<Omit<AdapterOptions, "scope" | "backplane">>> & {
  readonly backplane: BackplaneOption | undefined;
  readonly scope: string | undefined;
};
export type ResolvedPrimaryOptions = Readonly<Required<Omit<PrimaryOptions, "backplane">>> & {
  readonly backplane: BackplaneOption | undefined;
};

export function resolveAdapterOptions(input: AdapterOptions = {}): ResolvedAdapterOptions {
  const fields = new OptionReader("createAdapter", input);
  return fields.end({
    requestsTimeout: fields.integer("requestsTimeout", 5_000, 1, MAX_TIMER_MS),
    scope: fields.string("scope", undefined),
    interest: fields.boolean("interest", true),
    hub: resolveHub(fields.value("hub", "auto", isHub, '"auto" or { path: "…" }')),
    backplane: fields.value("backplane", undefined, isBackplane, BACKPLANE),
    onError: guarded(fields.fn("onError", (error: HoldfastError): void => process.emitWarning(error))),
  });
}

function isHub(value: unknown): value is NonNullable<AdapterOptions["hub"]> {
  if (value === "auto") return true;
  if (typeof value !== "object" || value === null || Object.keys(value).join() !== "path") return false;
  const { path } = value as { path: unknown };
  return typeof path === "string" && path !== "" && !path.includes("\0");
}

/** A process may change its working directory later. */
function resolveHub(hub: NonNullable<AdapterOptions["hub"]>): NonNullable<AdapterOptions["hub"]> {
  return hub === "auto" ? hub : { path: wholePath(hub.path) };
}

export function resolvePrimaryOptions(input: PrimaryOptions = {}): ResolvedPrimaryOptions {
  const fields = new OptionReader("setupPrimary", input);
  const maxBacklogBytes = fields.integer("maxBacklogBytes", 64 * 2 ** 20, 2 ** 20, MAX_BYTES);
  return fields.end({
    link: fields.oneOf("link", "pipe", ["pipe", "ipc"]),
    maxBacklogBytes,
    stallTimeout: fields.integer("stallTimeout", 10_000, 100, MAX_TIMER_MS),
    maxMessageBytes: fields.integer(
      "maxMessageBytes",
      Math.min(32 * 2 ** 20, maxBacklogBytes),
      2 ** 16,
      maxBacklogBytes,
    ),
    journalBytes: fields.integer("journalBytes", 64 * 2 ** 20, 2 ** 20, MAX_BYTES),
    killStalled: fields.boolean("killStalled", true),
    backplane: fields.value("backplane", undefined, isBackplane, BACKPLANE),
  });
}

function isBackplane(value: unknown): value is BackplaneOption | undefined {
  if (value === undefined) return true;
  return typeof value === "object" && value !== null && "open" in value && typeof value.open === "function";
}

/** A listener that may throw: whoever tells it of a failure has more to do. */
function guarded(listener: (error: HoldfastError) => void): (error: HoldfastError) => void {
  return (error) => runApplication(() => listener(error));
}
