/**
 * The bench's hand in a process under test: answers its calls and sends it notices.
 * Owns: the control connection; the process ends with it. Runs in: primaries, workers, load generators.
 */
import { connect } from "node:net";
import { ControlChannel, type Hello } from "./control.js";

/** Functions that the bench calls by name; arguments and results are cloneable. */
// biome-ignore lint/suspicious/noExplicitAny: each command has its own arguments
export type Commands = Record<string, (...args: any[]) => unknown>;

/** What a process has used since it started. */
export interface Usage {
  /** User and system time of all its threads, microseconds. */
  readonly cpu: number;
  /** Resident set size, bytes. */
  readonly rss: number;
  /** V8 heap in use, bytes. */
  readonly heap: number;
  /** Memory of buffers and other external objects, bytes. */
  readonly external: number;
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { cpu: user + system, rss, heap: heapUsed, external };
}

export class Agent {
  readonly #channel: ControlChannel;
  readonly #listeners = new Map<string, (value: unknown) => void>();
  #commands: Commands = {};

  constructor() {
    const socket = connect(Number(process.env.HOLDFAST_BENCH_CONTROL), "127.0.0.1");
    socket.on("close", () => process.kill(process.pid, "SIGKILL"));
    this.#channel = new ControlChannel(socket, (message) => {
      if (message.type === "call") void this.#answer(message.id, message.command, message.args);
      else if (message.type === "notice") this.#listeners.get(message.name)?.(message.value);
    });
  }

  /** Reports to the bench; from now on it may call. */
  ready(who: Pick<Hello, "role" | "index">, commands: Commands): void {
    this.#commands = { usage, gc: () => globalThis.gc?.(), ...commands };
    const group = process.env.HOLDFAST_BENCH_GROUP ?? "";
    this.#channel.send({ type: "hello", group, pid: process.pid, ...who });
  }

  /** Tells the bench something; it does not answer. */
  notify(name: string, value?: unknown): void {
    this.#channel.send({ type: "notice", name, value });
  }

  /** Sets the one listener for a notice of the bench. */
  on(name: string, listener: (value: unknown) => void): void {
    this.#listeners.set(name, listener);
  }

  async #answer(id: number, command: string, args: unknown[]): Promise<void> {
    try {
      const run = this.#commands[command];
      if (!run) throw new Error(`no command "${command}" in this process`);
      this.#channel.send({ type: "answer", id, value: await run(...args) });
    } catch (error) {
      this.#channel.send({ type: "answer", id, error: String((error as Error).stack ?? error) });
    }
  }
}
