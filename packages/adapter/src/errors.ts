/** The errors of this package. Runs in: primary and workers. */

/** What went wrong; stable across releases, to be matched instead of the message. */
export type HoldfastErrorCode =
  /** An option is unknown, of the wrong type or out of its range. The message says what would be right. */
  | "HOLDFAST_ERR_INVALID_OPTION"
  /** `setupPrimary()` was called in a worker. Call it in the primary, before `cluster.fork()`. */
  | "HOLDFAST_ERR_NOT_PRIMARY"
  /**
   * `setupPrimary()` was called while an earlier hub of this process is still open. One hub serves all
   * workers: keep the first handle, or `close()` it.
   */
  | "HOLDFAST_ERR_ALREADY_SET_UP"
  /**
   * `createAdapter()` was called outside a worker of `node:cluster`. Call it in a process started by
   * `cluster.fork()`; a server in a single process needs no adapter.
   */
  | "HOLDFAST_ERR_NOT_WORKER"
  /**
   * The primary has no hub, or its hub does not answer; until it does, broadcasts reach this worker's own
   * clients only. Call `setupPrimary()` in the primary.
   */
  | "HOLDFAST_ERR_NO_HUB"
  /**
   * The primary and this worker run versions that do not understand each other. Install the same version for
   * both and restart the primary.
   */
  | "HOLDFAST_ERR_VERSION_MISMATCH"
  /**
   * A second server of this process uses the same scope, which is its path if none is set, and namespace.
   * Close the first one, or give one of them a `scope` of its own.
   */
  | "HOLDFAST_ERR_NAMESPACE_TAKEN"
  /**
   * Some workers did not answer in time: `missing` names them, `responses` has the others' answers. Look for
   * what blocks their event loops; `requestsTimeout` says how long they have.
   */
  | "HOLDFAST_ERR_REQUEST_TIMEOUT"
  /** A worker answered that it could not carry out a request. The message is that worker's. */
  | "HOLDFAST_ERR_REQUEST_FAILED"
  /** The adapter was closed before the answers came. At the end of a process that is nothing to mend. */
  | "HOLDFAST_ERR_CLOSED"
  /**
   * The link to the primary is gone: its hub was closed, or has cut this worker off, which the primary's
   * stderr and `leave` event tell. The worker joins anew when there is a hub; look for why it was cut off.
   */
  | "HOLDFAST_ERR_LINK_LOST"
  /**
   * A value has no encoded form: a symbol, a Blob in a broadcast, or a getter that throws. Send plain data.
   */
  | "HOLDFAST_ERR_UNSERIALIZABLE"
  /** A message is larger than `maxMessageBytes`. Send less, or raise it. */
  | "HOLDFAST_ERR_MESSAGE_TOO_LARGE"
  /**
   * More than `maxBacklogBytes` waits for the primary; until it drains, this worker's broadcasts reach its
   * own clients only. Look for what blocks the primary's event loop.
   */
  | "HOLDFAST_ERR_BACKLOG_FULL"
  /**
   * `connectionStateRecovery` does not work with the server's parser, which does not keep the text of
   * strings. Use another parser, or switch recovery off.
   */
  | "HOLDFAST_ERR_UNSUPPORTED_PARSER"
  /**
   * Bytes on a link are not frames of this protocol; the link is ended. Look for what else writes to its file
   * descriptors.
   */
  | "HOLDFAST_ERR_BROKEN_FRAME";

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

/** A worker as requests name it. */
export interface MemberInfo {
  /** Identifies one membership: never used twice while the primary lives. */
  readonly id: number;
  /** `cluster.worker.id`. */
  readonly workerId: number;
  /** Process id. */
  readonly pid: number;
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
