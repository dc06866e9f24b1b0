/**
 * Starts and ends the programs of a bench.
 * Owns: everything that was started here. Runs in: the bench.
 */
import { fileURLToPath } from "node:url";
import { RemoteProgram } from "@holdfast/harness";

/** For the start of a program and for each of its answers: some of them end a long window. */
const DEADLINE_MS = 60_000;

export class Lab {
  readonly #programs: RemoteProgram[] = [];

  /**
   * Starts `dist/<program>.js` with `config` and waits until `size` of its processes have reported.
   * Workers of a cluster inherit the environment, so they report to the same place.
   */
  async start(program: string, config: object, size: number): Promise<RemoteProgram> {
    const file = fileURLToPath(new URL(`../${program}.js`, import.meta.url));
    const execArgv = ["--expose-gc"];
    const started = new RemoteProgram(file, { config, size, execArgv, deadlineMs: DEADLINE_MS });
    this.#programs.push(started);
    return started.open();
  }

  /** Ends what was started and not yet closed. */
  async close(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.close()));
  }
}
