/**
 * A path as the system has it: bytes, which need not be text. Each byte is a character of a string, so that it can be a
 * key, and `node:path` can take it apart. Owns: nothing; pure. Runs in: the command line.
 */

const ENCODING = "latin1";

export function fromText(path: string): string {
  return fromBytes(Buffer.from(path));
}

export function fromBytes(path: Buffer): string {
  return path.toString(ENCODING);
}

export function bytesOf(path: string): Buffer {
  return Buffer.from(path, ENCODING);
}

/** For people. What is no text becomes `\uFFFD`. */
export function textOf(path: string): string {
  return bytesOf(path).toString();
}
