/** The errors of this package. Runs in: primary and workers. */

/** What went wrong; stable across releases, to be matched instead of the message. */
export type HoldfastErrorCode =
  /** An option is unknown, of the wrong type or out of its range. */
  | "HOLDFAST_ERR_INVALID_OPTION"
  /** `setupPrimary()` was called in a worker. */
  | "HOLDFAST_ERR_NOT_PRIMARY"
  /** `setupPrimary()` was called while an earlier hub of this process is still open. */
  | "HOLDFAST_ERR_ALREADY_SET_UP"
  /** `createAdapter()` was called outside a worker of `node:cluster`. */
  | "HOLDFAST_ERR_NOT_WORKER"
  /** The primary has no hub, or its hub does not answer. */
  | "HOLDFAST_ERR_NO_HUB"
  /** The primary and this worker run versions that do not understand each other. */
  | "HOLDFAST_ERR_VERSION_MISMATCH"
  /** A second server of this process uses the same path and namespace. */
  | "HOLDFAST_ERR_NAMESPACE_TAKEN"
  /** Some workers did not answer in time. */
  | "HOLDFAST_ERR_REQUEST_TIMEOUT"
  /** A worker answered that it could not carry out a request. */
  | "HOLDFAST_ERR_REQUEST_FAILED"
  /** The adapter was closed before the answers came. */
  | "HOLDFAST_ERR_CLOSED"
  /** The link to the primary is gone. */
  | "HOLDFAST_ERR_LINK_LOST"
  /** A value has no encoded form: a symbol, a Blob in a broadcast, or a getter that throws. */
  | "HOLDFAST_ERR_UNSERIALIZABLE"
  /** A message is larger than `maxMessageBytes`. */
  | "HOLDFAST_ERR_MESSAGE_TOO_LARGE"
  /** What waits to be sent is more than `maxBacklogBytes`. */
  | "HOLDFAST_ERR_BACKLOG_FULL"
  /** `connectionStateRecovery` does not work with the server's parser. */
  | "HOLDFAST_ERR_UNSUPPORTED_PARSER"
  /** Bytes on a link are not frames of this protocol. */
  | "HOLDFAST_ERR_BROKEN_FRAME";

/** Every error that this package throws, rejects with or reports. */
export class HoldfastError extends Error {
  override readonly name = "HoldfastError";
  readonly code: HoldfastErrorCode;

  constructor(code: HoldfastErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
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
  }
}
