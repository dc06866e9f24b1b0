/**
 * Keeps bytes that are the same as the last time once: `socket.data` is the same small object for most sockets, and an
 * array of its own takes ten times what is in it.
 * Owns: the bytes that were kept last. Runs in: workers, and where the hub is.
 */

/** Beyond that an array is worth its price, and is not to be held here for nobody. */
const MAX_BYTES = 1_024;

export class BytesMemo {
  #last = new Uint8Array(0);

  /** The bytes, in an array of their own or in that of the last time: it must not be changed. */
  keep(bytes: Uint8Array): Uint8Array {
    if (bytes.length > MAX_BYTES) return new Uint8Array(bytes);
    if (Buffer.compare(bytes, this.#last) !== 0) this.#last = new Uint8Array(bytes);
    return this.#last;
  }
}
