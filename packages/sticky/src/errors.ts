/** The errors of this package. Runs in: primary and workers. */

/** What went wrong; stable across releases, to be matched instead of the message. */
export type HoldfastErrorCode =
  | "HOLDFAST_ERR_ALREADY_SET_UP"
  | "HOLDFAST_ERR_INVALID_OPTION"
  | "HOLDFAST_ERR_INVALID_SERVER"
  | "HOLDFAST_ERR_NOT_ATTACHED"
  | "HOLDFAST_ERR_NOT_PRIMARY"
  | "HOLDFAST_ERR_NOT_WORKER"
  | "HOLDFAST_ERR_SELECT_WORKER"
  | "HOLDFAST_ERR_TLS_SERVER"
  | "HOLDFAST_ERR_VERSION_MISMATCH";

/** Every error that this package throws, rejects with or reports. */
export class HoldfastError extends Error {
  override readonly name = "HoldfastError";
  readonly code: HoldfastErrorCode;

  constructor(code: HoldfastErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
