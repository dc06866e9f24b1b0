/**
 * The hand of a test or a bench in a process: answers its calls and sends it notices.
 * Owns: the control connection; the process ends with it. Runs in: processes that a {@link RemoteProgram} starts.
 */
import { connect, type Socket } from "node:net";
import { ControlChannel, type Hello, packError } from "./control-channel.js";

/** Where the process reports to: a port of the loopback interface. Children inherit it. */
export const CONTROL_VARIABLE = "HOLDFAST_CONTROL";
/** What the process is told at its start, as JSON. */
export const CONFIG_VARIABLE = "HOLDFAST_CONFIG";

/** Functions that may be called by name; arguments and results are cloneable. */
// biome-ignore lint/suspicious/noExplicitAny: each command has its own arguments
export type Commands = Record<string, (...args: any[]) => unknown>;

/** The `config` of the {@link RemoteProgram} that started this process. */
export function readConfig<T>(): T {
  return JSON.parse(process.env[CONFIG_VARIABLE] ?? "{}") as T;
}

/** The command behind `RemoteProcess.run()`: functions find `context` in their first argument. */
export function runsFunctions(context: unknown): Commands {
  return {
    run: (source: string, args: unknown[]) => new Function(`return (${source});`)()(context, ...args),
  };
}

export class Agent {
  readonly #socket: Socket;
  readonly #channel: ControlChannel;
  readonly #listeners = new Map<string, (value: unknown) => void>();
  #commands: Commands = {};

  /** Whether a {@link RemoteProgram} started this process, and waits for its report. */
  static get isAwaited(): boolean {
    return process.env[CONTROL_VARIABLE] !== undefined;
  }

  constructor() {
    this.#socket = connect(Number(process.env[CONTROL_VARIABLE]), "127.0.0.1");
    this.#socket.on("close", () => process.kill(process.pid, "SIGKILL"));
    this.#channel = new ControlChannel(this.#socket, (message) => {
      if (message.type === "call") void this.#answer(message.id, message.command, message.args);
      else if (message.type === "notice") this.#listeners.get(message.name)?.(message.value);
    });
  }

  /** Reports; from now on the process may be called. */
  ready(who: Omit<Hello, "type" | "pid">, commands: Commands): void {
    this.#commands = commands;
    this.#channel.send({ type: "hello", pid: process.pid, ...who });
  }

  /** Tells the other side something; it does not answer. */
  notify(name: string, value?: unknown): void {
    this.#channel.send({ type: "notice", name, value });
  }

  /** Sets the one listener for a notice of the other side. */
  on(name: string, listener: (value: unknown) => void): void {
    this.#listeners.set(name, listener);
  }

  /** The process may end by itself from now on. */
  release(): void {
    this.#socket.unref();
  }

  async #answer(id: number, command: string, args: unknown[]): Promise<void> {
    try {
      const execute = this.#commands[command];
      if (!execute) throw new Error(`no command "${command}" in this process`);
      this.#channel.send({ type: "answer", id, value: await execute(...args) });
    } catch (error) {
      this.#channel.send({ type: "answer", id, error: packError(error) });
    }
  }
}
