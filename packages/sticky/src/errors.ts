/** The errors of this package. Runs in: primary and workers. */

/** What went wrong; stable across releases, to be matched instead of the message. */
export type HoldfastErrorCode =
  /**
   * Thrown: `setupPrimary()` was called for a server that has a router, `setupWorker()` for an `io` that is
   * set up, or two HTTP servers of one worker have the same `name`, or two routers different `hosts`, or different options
   * of the one host port. Keep the first handle, or `close()` it; give each server its own `name`, in the primary and in the
   * workers; give the options of the host port to the first router.
   */
  | "HOLDFAST_ERR_ALREADY_SET_UP"
  /**
   * Rejection of the primary's `ready()`: `close()` was called before so many workers were ready. Await `ready()`
   * first. Of its `retire()`, `moveSessions()` and `rebalance()`, and thrown by `renewHostTls()`: `close()` was called
   * before. Call it on the handle of a router that is open.
   */
  | "HOLDFAST_ERR_CLOSED"
  /**
   * Event `warning`: the host port cannot be opened, so other hosts cannot reach the sessions of this one. The message has
   * the system's error: choose another `hostPort`, or a `hostBind` that is an address of this machine. It is tried again
   * every second.
   */
  | "HOLDFAST_ERR_HOST_PORT"
  /**
   * Event `warning`: another host does not answer on its host port, or somebody else does, or it has another version, other
   * certificates, or no `hostTls` where this one has it, or a worker there lets nobody in, so requests of its sessions that
   * reach this host fail. The message names the host and says what has happened; let the hosts' machines reach each other on
   * that port, see that `hostAddress` there is the right one, look at what that host warns of, and give all hosts certificates
   * that fit, or none.
   */
  | "HOLDFAST_ERR_HOST_UNREACHABLE"
  /**
   * Thrown: an option is unknown, of the wrong type or out of its range. The message says what would be
   * right.
   */
  | "HOLDFAST_ERR_INVALID_OPTION"
  /**
   * Thrown: `setupPrimary()` was given something that is not a `net.Server`. Give it the `http.Server` or
   * `net.Server` that listens, not an Express application or the Socket.IO server.
   */
  | "HOLDFAST_ERR_INVALID_SERVER"
  /**
   * Thrown: `setupWorker(io)` was called for an `io` without an `http.Server` or `https.Server`. Call
   * `new Server(httpServer)` or `io.attach(httpServer)` first, in the worker.
   */
  | "HOLDFAST_ERR_NOT_ATTACHED"
  /**
   * Event `warning` of a worker: its primary has no router, and its own server does not listen five seconds after
   * `setupWorker()`, so nobody can reach it. Call `listen()` in the worker, or `setupPrimary(server)` in the primary.
   */
  | "HOLDFAST_ERR_NOT_LISTENING"
  /**
   * Thrown: `setupPrimary()` was called in a worker. Call it in the primary, and `setupWorker(io)` in the
   * workers.
   */
  | "HOLDFAST_ERR_NOT_PRIMARY"
  /**
   * Event `warning`: a worker's server listens where the router's does, and `setupWorker()` was not called within 5
   * seconds, so it gets no connections. Call `setupWorker(io)` there.
   */
  | "HOLDFAST_ERR_NOT_SET_UP"
  /**
   * Rejection of `retire()` and `moveSessions()`: a worker that they name is not ready, is its own successor, retires or has
   * retired and should get sessions, or gets sessions and should retire. Wait for the event `worker:ready` of the successor
   * first, and for the end of another `retire()` or `moveSessions()`.
   */
  | "HOLDFAST_ERR_NO_WORKER"
  /**
   * Thrown: `setupPrimary()` finds no place for the private directory, where the workers' private sockets are. Set
   * `TMPDIR` to a directory that exists, that this user can write to, and whose path is short enough for a Unix
   * socket; the message says how short. Event `warning`: somebody has removed it, and it was made anew; let
   * whatever cleans that place spare names that start with `holdfast-`. Or it is of no use any more, and there is no place
   * for another one. Event `warning` of a worker without a router: it finds no place either; it goes on, and looks again
   * every second.
   */
  | "HOLDFAST_ERR_PRIVATE_DIRECTORY"
  /**
   * Event `warning`: a worker's private socket fails, so requests that reach another worker than the one of their
   * session cannot be relayed, or could not be until the private directory was made in another place. The message has the
   * system's error, and says which; mend what it names.
   */
  | "HOLDFAST_ERR_PRIVATE_SOCKET"
  /**
   * Event `warning`: `selectWorker` threw or its promise was rejected (`cause` has the error), it took longer than
   * `workerTimeout`, or gave neither `undefined` nor the `workerId` of one of `info.workers`. The connection goes
   * where `loadBalancingMethod` says. Return `undefined` when none of the workers is the right one.
   */
  | "HOLDFAST_ERR_SELECT_WORKER"
  /**
   * Thrown: `setupPrimary()` was given an `https.Server` or `tls.Server`. TLS ends in the workers: give it an
   * `http.Server` or `net.Server`, and create the `https.Server`, with its key and certificate, in the
   * workers.
   */
  | "HOLDFAST_ERR_TLS_SERVER"
  /**
   * Event `warning`: a worker runs a version of this package that the primary does not understand, and gets
   * no connections. Install the same version for both and restart the primary.
   */
  | "HOLDFAST_ERR_VERSION_MISMATCH"
  /**
   * Thrown: `setupPrimary()` or `setupWorker()` was called in a worker thread (`node:worker_threads`). Call it in the
   * main thread of a process.
   */
  | "HOLDFAST_ERR_WORKER_THREAD"
  /**
   * Event `warning`: a worker runs as a user that cannot use the private directory, so requests that reach another
   * worker than the one of their session cannot be relayed. Start all workers as one user: the primary's, or, if the primary
   * is root, another one.
   */
  | "HOLDFAST_ERR_WORKER_USER";

/** Marks instances across packages, and across copies of one package. */
const BRAND = Symbol.for("holdfast.error");

/**
 * Every error that this package throws, rejects with or reports. `instanceof` holds for the errors of
 * `@holdfast/adapter` as well, and for those of another copy of this package in the same process.
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
