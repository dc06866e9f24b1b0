/**
 * Values as they travel between workers: `socket.data`, arguments of `serverSideEmit`, answers.
 * Runs in: primary and workers.
 */
import { Packr } from "msgpackr";
import { HoldfastError } from "../errors.js";

// structuredClone keeps typed arrays, Set, Error and cycles; the BigInt extension keeps what is beyond int64.
const packr = new Packr({ structuredClone: true, moreTypes: true, useBigIntExtension: true });

/**
 * Encodes a value; Buffer, typed arrays, Date, Map, Set, RegExp, Error, BigInt, undefined and cycles survive.
 * @throws {HoldfastError} `HOLDFAST_ERR_UNSERIALIZABLE` for what has no encoded form: a symbol,
 *   a getter that throws
 */
export function packValue(value: unknown): Buffer {
  try {
    return packr.pack(value);
  } catch (cause) {
    throw new HoldfastError(
      "HOLDFAST_ERR_UNSERIALIZABLE",
      `The value cannot be sent to another worker: ${(cause as Error).message}. Send plain data instead.`,
      { cause },
    );
  }
}

/** Decodes what {@link packValue} made. */
export function unpackValue(bytes: Uint8Array): unknown {
  return packr.unpack(bytes);
}
