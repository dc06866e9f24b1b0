/**
 * Cuts a stream of text into lines, and bounds how long one may be.
 * Owns: the piece of a line that has come. Runs in: primary, and the command line.
 */
export class LineReader {
  readonly #maxLength: number;
  #rest = "";

  /** @param maxLength characters */
  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** @returns the lines that are complete; `undefined` if one is too long, and then nothing more is to be read */
  push(text: string): string[] | undefined {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    const isTooLong = (line: string) => line.length > this.#maxLength;
    return isTooLong(this.#rest) || lines.some(isTooLong) ? undefined : lines;
  }
}
