/** An end of the command line that is not success. Runs in: the command line. */
export class CommandError extends Error {
  readonly exitCode: number;

  /** @param message what the person at the terminal reads */
  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}
