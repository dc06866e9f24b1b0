/** The errors of this package. Runs in: primary and workers. */

/** What went wrong; stable across releases, to be matched instead of the message. */
export type HoldfastErrorCode =
  /**
   * Thrown: `startCluster()` was called while an earlier cluster of this process runs. Keep the first handle, or
   * await its `stop()`. Or `joinCluster()` was called before for the same server: call it once.
   */
  | "HOLDFAST_ERR_ALREADY_SET_UP"
  /**
   * Rejection of `startCluster()`, `reload()`, `scale()` and `rebalance()`: the cluster was stopped, or has begun to
   * stop.
   */
  | "HOLDFAST_ERR_CLOSED"
  /**
   * Event `warning`: there is no control socket, so `npx holdfast` does not find this cluster. The message says why;
   * mend that, set `control` to a path of your own, or to `false`. Or it was removed while the cluster ran, and has been
   * made anew: keep what cleans up its folder away from it.
   */
  | "HOLDFAST_ERR_CONTROL_SOCKET"
  /**
   * Rejection of `startCluster()`, and event `failed`: workers ended again and again, and none is left. Look at what
   * they wrote before; the message has the last words of one.
   */
  | "HOLDFAST_ERR_CRASH_LOOP"
  /**
   * Thrown: an option is unknown, of the wrong type or out of its range. The message says what would be
   * right.
   */
  | "HOLDFAST_ERR_INVALID_OPTION"
  /**
   * Rejection of `startCluster()`: its server, or that of `admin`, cannot listen, for example because the port is in
   * use. `cause` has the system's error.
   */
  | "HOLDFAST_ERR_LISTEN"
  /**
   * Rejection of `startCluster()`: another cluster of this user runs under the `name` that was given, or has the socket
   * that `control` names; the message has its path. Stop it, or give this one another name or path.
   */
  | "HOLDFAST_ERR_NAME_TAKEN"
  /**
   * Thrown: the server that was given to `joinCluster()` is not attached to an HTTP server yet. Call
   * `new Server(httpServer)` or `io.attach(httpServer)` first.
   */
  | "HOLDFAST_ERR_NOT_ATTACHED"
  /**
   * Thrown: `startCluster()` was called in a worker. Call it in a file of its own, and `joinCluster(io)` in the file
   * that the workers run.
   */
  | "HOLDFAST_ERR_NOT_PRIMARY"
  /**
   * Rejection of `reload()` and `scale()`, under `holdfast run --watch` only: a file has changed, and the order made way
   * for the reload that runs it. Nothing is to be done.
   */
  | "HOLDFAST_ERR_OVERTAKEN"
  /**
   * Rejection of `reload()` and `scale()`: a new worker ended before it was ready, or was not ready in time. With
   * `reload()`, the worker that it was to replace goes on, and so do those after it. There it is also that of a new worker
   * that ended soon after; then its predecessor may be gone. Mend the application and call it again.
   */
  | "HOLDFAST_ERR_WORKER_FAILED"
  /**
   * Thrown: the file that the workers are to run is not there, or it is a directory in which Node.js finds nothing to
   * run. The message has the whole path.
   */
  | "HOLDFAST_ERR_WORKER_FILE"
  /**
   * Thrown: `joinCluster()` was called in a worker thread of a cluster's worker. Call it in the main thread of the file
   * that the workers run.
   */
  | "HOLDFAST_ERR_WORKER_THREAD";

/** Marks instances across packages, and across copies of one package. */
const BRAND = Symbol.for("holdfast.error");

/**
 * Every error that this package throws, rejects with or reports. `instanceof` holds for the errors of
 * `@holdfast/adapter` and `@holdfast/sticky` as well, and for those of another copy of this package in the same
 * process.
 */
export class HoldfastError extends Error {
  override readonly name = "HoldfastError";
  readonly code: HoldfastErrorCode;

  constructor(code: HoldfastErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    brand(this, BRAND);
  }
}

/** `instanceof` of the class goes by the mark; that of classes derived from it by their prototypes, as usual. */
function recogniseBy(mark: symbol, own: object): void {
  Object.defineProperty(own, Symbol.hasInstance, {
    value(this: object, value: unknown): boolean {
      if (this !== own) return Function.prototype[Symbol.hasInstance].call(this, value);
      return typeof value === "object" && value !== null && mark in value;
    },
  });
}

function brand(error: Error, mark: symbol): void {
  Object.defineProperty(error, mark, { value: true });
}

recogniseBy(BRAND, HoldfastError);

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : textOf(error);
}

/** Any value as a text. Never throws: `String()` does, for an object that cannot be one. */
export function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return "an object without a text";
  }
}

/** The code of an error of the system, such as `EADDRINUSE`; empty if it has none. */
export function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? textOf(error.code) : "";
}
