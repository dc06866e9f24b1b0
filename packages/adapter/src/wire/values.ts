/**
 * Values as they travel between processes: `socket.data`, arguments of `serverSideEmit`, answers. What is kept
 * of them is told in docs/adapter.md. Runs in: primary and workers.
 */
import { brokenMessage, FieldReader } from "./field-reader.js";
import { ValueReader } from "./value-reader.js";
import { ValueWriter } from "./value-writer.js";

/** More than any message may have. */
const MAX_BYTES = 2 ** 31 - 1;

/**
 * Encodes a value.
 * @param maxBytes how long it may become
 * @throws {HoldfastError} `HOLDFAST_ERR_UNSERIALIZABLE` for what has no encoded form: a symbol, a getter that
 *   throws, more than 10,000 objects in one another; `HOLDFAST_ERR_MESSAGE_TOO_LARGE`
 */
export function packValue(value: unknown, maxBytes = MAX_BYTES): Buffer {
  const writer = new ValueWriter(maxBytes);
  try {
    writer.write(value);
  } catch (error) {
    // Gives its memory back.
    writer.end();
    throw error;
  }
  return writer.end();
}

/**
 * Decodes what {@link packValue} made. A large buffer in the value may be a part of `bytes`.
 * @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE`, and nothing else, for whatever else is given
 */
export function unpackValue(bytes: Buffer): unknown {
  return readValue(new FieldReader(bytes, 0, bytes.length));
}

/** Decodes the value that is the rest of a frame; otherwise like {@link unpackValue}. */
export function readValue(fields: FieldReader): unknown {
  const value = new ValueReader(fields).read();
  if (!fields.done) throw brokenMessage("something follows the value");
  return value;
}
