/** The errors of this package. Runs in: primary and workers. */
import type { MemberInfo } from "./member-info.js";

/** What went wrong; stable across releases, to be matched instead of the message. */
export type HoldfastErrorCode =
  /**
   * Thrown: an option is unknown, of the wrong type or out of its range. The message says what would be
   * right.
   */
  | "HOLDFAST_ERR_INVALID_OPTION"
  /** Thrown: `setupPrimary()` was called in a worker. Call it in the primary, before `cluster.fork()`. */
  | "HOLDFAST_ERR_NOT_PRIMARY"
  /**
   * Thrown: `setupPrimary()` was called while an earlier hub of this process is open. One hub serves all
   * workers: keep the first handle, or `close()` it.
   */
  | "HOLDFAST_ERR_ALREADY_SET_UP"
  /**
   * Thrown: `createAdapter()` or `setupPrimary()` was called in a worker thread (`node:worker_threads`). Call it in
   * the main thread of a process.
   */
  | "HOLDFAST_ERR_WORKER_THREAD"
  /**
   * Thrown, given to `onError`, or the end of `holdfast-hub`: the path of the hub's socket, or its directory, cannot be
   * used. It is too long, belongs to somebody else, is no socket, or the system refuses it. The message says which,
   * and what to do.
   */
  | "HOLDFAST_ERR_HUB_PATH"
  /** The end of `holdfast-hub`: another hub is open at the path. Use that one, end it, or choose another path. */
  | "HOLDFAST_ERR_HUB_RUNNING"
  /**
   * Given to `onError`, and to requests: the application's hub process could not be started, or ended at once. The
   * message says why. It is tried again; or run one yourself, see [the hub process](hub-process.md).
   */
  | "HOLDFAST_ERR_HUB_START"
  /**
   * Given to `onError`, and to requests: the primary has no hub, or its hub does not answer. Until it does, this
   * worker's broadcasts reach its own clients only. Call `setupPrimary()` in the primary; or, where the message says
   * that its hub was starting or does not answer, look for what has closed, blocks or stops it. Of a hub that this
   * worker has joined and that [stands still](adapter.md#a-hub-that-stands-still), the message says what waits for it.
   */
  | "HOLDFAST_ERR_NO_HUB"
  /**
   * Given to `onError`, and to requests: the primary and this worker run versions that do not understand each
   * other. Install the same version for both and restart the primary.
   */
  | "HOLDFAST_ERR_VERSION_MISMATCH"
  /**
   * Thrown: a second server of this process has the same namespace and the same scope, which is its path if
   * none is set. Close the first one, or give one of them a `scope` of its own.
   */
  | "HOLDFAST_ERR_NAMESPACE_TAKEN"
  /**
   * A request failed because some workers did not answer within `requestsTimeout`. `missing` names them (it
   * is empty if the primary itself was silent, or if earlier requests of this worker took all the time),
   * `responses` has the others' answers. Look for what blocks their event loops.
   */
  | "HOLDFAST_ERR_REQUEST_TIMEOUT"
  /**
   * A request failed because a worker answered that it could not carry it out. The message is that worker's.
   */
  | "HOLDFAST_ERR_REQUEST_FAILED"
  /**
   * A request failed because the adapter was closed before the answers came; when a process ends, ignore it.
   * Or thrown: `emitter()` was called on a hub that has been closed, or what `createEmitter()` returned was used
   * after its `close()`.
   */
  | "HOLDFAST_ERR_CLOSED"
  /**
   * Given to `onError`, and to requests: the link to the hub is gone, and with it what was on its way to
   * other workers. Either the hub was closed, or it has cut this worker off; the primary's stderr and its
   * events `leave` and `stalled` tell. The worker joins again as soon as there is a hub.
   */
  | "HOLDFAST_ERR_LINK_LOST"
  /**
   * Thrown: a value cannot be encoded, because it is a symbol, a getter that throws, more than 10,000 objects
   * deep, or a `Blob` in a broadcast. Send plain data. Given to `onError`: the same of a field of `socket.data`
   * or of a handshake, which other workers or the client's next session are left without, or of a client's
   * acknowledgement, which counts as missing.
   */
  | "HOLDFAST_ERR_UNSERIALIZABLE"
  /**
   * Thrown, or given to `onError` if the hub was not there yet: a message is larger than `maxMessageBytes`.
   * Send less, or raise it. Given to `onError`: what is said of `HOLDFAST_ERR_UNSERIALIZABLE`, because of its
   * size.
   */
  | "HOLDFAST_ERR_MESSAGE_TOO_LARGE"
  /**
   * Given to `onError`: more than `maxBacklogBytes` of this worker's messages is waiting, for the primary or
   * for workers that take theirs slowly. Until there is room, its broadcasts reach its own clients only.
   * Thrown by commands, and given to requests: more than twice as much is waiting, and nothing was sent. Look
   * for an event loop that is blocked.
   */
  | "HOLDFAST_ERR_BACKLOG_FULL"
  /**
   * Thrown by a broadcast: `connectionStateRecovery` does not work with the server's parser, because strings
   * cannot be found again in what it makes of them. Use another parser, or switch recovery off.
   */
  | "HOLDFAST_ERR_UNSUPPORTED_PARSER"
  /**
   * Given to `onError` of one of the workers whose hub is a process of its own: a worker that took none of its messages
   * was cut off by the hub, and killed with `killStalled`. Look for what blocks its event loop. In the primary, it is a
   * line on stderr and the event `stalled`.
   */
  | "HOLDFAST_ERR_WORKER_STALLED"
  /**
   * Given to `onError` of one of the workers whose hub is a process of its own: more was sent than `journalBytes` can
   * keep for as long as clients may come back. Run a hub with a larger journal, see
   * [the hub process](hub-process.md). In the primary, it is the event `journalFull`.
   */
  | "HOLDFAST_ERR_JOURNAL_FULL"
  /**
   * Given to `onError` in a worker, and a warning of the process in the primary: the bytes on a link are not
   * frames of this protocol, and the link was ended. Something else writes to its file descriptors.
   */
  | "HOLDFAST_ERR_BROKEN_FRAME"
  /**
   * Given to `onError` in a worker, and a warning of the process in the primary: a message of another process
   * cannot be read. It was dropped, the request that it belongs to fails, and the link goes on. That is a fault
   * of this package: please report it.
   */
  | "HOLDFAST_ERR_BROKEN_MESSAGE"
  /**
   * Redis cannot be reached, does not answer in time or refuses. Until it is back, this host's messages reach its own
   * clients only. Look after Redis; the message has its words. A warning of the process that has the backplane, the
   * primary or the only one; of a hub process, given to `onError` of one of its workers.
   */
  | "HOLDFAST_ERR_BACKPLANE_DOWN"
  /**
   * Told as `HOLDFAST_ERR_BACKPLANE_DOWN` is: Redis throws keys away when its memory is full. Set its
   * `maxmemory-policy` to `noeviction`.
   */
  | "HOLDFAST_ERR_BACKPLANE_EVICTS"
  /**
   * Told as `HOLDFAST_ERR_BACKPLANE_DOWN` is: this host did not read in time what other hosts sent, and some of it is
   * lost. If there are recoverable packets among it, its clients are closed, and come back. Look for what blocks the
   * event loop of that process.
   */
  | "HOLDFAST_ERR_BACKPLANE_SLOW"
  /**
   * Told as `HOLDFAST_ERR_BACKPLANE_DOWN` is: with the option `url` of `redisStreams()`, the package `redis` is needed
   * and is not installed. `npm install redis@5`, or give a `client`.
   */
  | "HOLDFAST_ERR_NO_REDIS";

/** Marks instances across packages, and across copies of one package. */
const BRAND = Symbol.for("holdfast.error");
const REQUEST_BRAND = Symbol.for("holdfast.request-error");

/**
 * Every error that this package throws, rejects with or reports. `instanceof` holds for the errors of
 * `@holdfast/sticky` as well, and for those of another copy of this package in the same process.
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

/** A request that did not get all its answers; `code` tells why. */
export class RequestError extends HoldfastError {
  /** The workers whose answers are missing. Empty when the primary itself was silent. */
  readonly missing: readonly MemberInfo[];
  /** The answers that came, as the call would have returned them. */
  responses: unknown[];

  constructor(
    code: HoldfastErrorCode,
    message: string,
    missing: readonly MemberInfo[],
    responses: unknown[],
    options?: ErrorOptions,
  ) {
    super(code, message, options);
    this.missing = missing;
    this.responses = responses;
    brand(this, REQUEST_BRAND);
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
recogniseBy(REQUEST_BRAND, RequestError);

/** What an error says; of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return "something that cannot be shown was thrown";
  }
}
