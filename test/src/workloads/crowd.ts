/**
 * Many more clients of a workload, of which it is only asked whether they have stayed connected.
 * Owns: the process that they live in. Runs in: tests.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../dist/workloads/crowd-process.js", import.meta.url));

export class Crowd {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** Settles when all are connected. */
  static async open(port: number, count: number): Promise<Crowd> {
    const child = fork(PROGRAM, [String(port), String(count)]);
    const connected = once(child, "message");
    const ended = once(child, "exit").then(([code]) => {
      throw new Error(`the process of the raw clients has ended with ${code}`);
    });
    await Promise.race([connected, ended]);
    ended.catch(() => {});
    return new Crowd(child);
  }

  /** How many have been cut off. */
  async disconnects(): Promise<number> {
    const answer = once(this.#process, "message");
    this.#process.send("disconnects");
    return (await answer)[0] as number;
  }

  close(): void {
    this.#process.kill();
  }
}
