/**
 * A program whose processes report to the test or the bench, and are steered from there: a cluster, or a single process.
 * Owns: the server that they report to, the program and, through their connections, all of its processes.
 * Runs in: tests and benches.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { basename } from "node:path";
import { CONFIG_VARIABLE, CONTROL_VARIABLE } from "./agent.js";
import { ControlChannel, type ControlMessage } from "./control-channel.js";
import { type Exit, Program } from "./program.js";
import { RemoteProcess } from "./remote-process.js";
import { within } from "./within.js";

export interface RemoteProgramOptions {
  /** What its processes read with `readConfig()`; travels as JSON. */
  readonly config: object;
  /** How many processes have to report until it counts as started. */
  readonly size: number;
  /** Arguments of Node.js. */
  readonly execArgv?: readonly string[];
  /** Added to this process' own environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Its working directory. @default that of this process */
  readonly cwd?: string | undefined;
  /** For its start and for each answer of a process, milliseconds. @default that of `within()` */
  readonly deadlineMs?: number;
}

/** `P` and `W` are what functions find that run in the primary and in a worker. */
export class RemoteProgram<P = unknown, W = unknown> {
  readonly #file: string;
  readonly #options: RemoteProgramOptions;
  /** Connections of processes that are still starting. */
  readonly #starting = new Set<Socket>();
  readonly #server = createServer((socket) => this.#accept(socket));
  #program: Program | undefined;
  #processes: RemoteProcess[] = [];

  /** @param file a module; its processes have an `Agent` each */
  constructor(file: string, options: RemoteProgramOptions) {
    this.#file = file;
    this.#options = options;
  }

  /** Starts the program and waits until its processes have reported. */
  async open(): Promise<this> {
    const { config, size, execArgv = [], env, cwd, deadlineMs } = this.#options;
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.#program = Program.node([...execArgv, this.#file], {
      // Its processes end with their connections; in a session of its own it would be scheduled apart from its peers.
      group: false,
      ipc: true,
      cwd,
      env: {
        ...env,
        [CONTROL_VARIABLE]: String((this.#server.address() as AddressInfo).port),
        [CONFIG_VARIABLE]: JSON.stringify(config),
      },
    });
    try {
      await this.until(`${size} processes`, () => this.processes.length >= size, deadlineMs);
    } catch (error) {
      await this.close();
      throw new Error(`${basename(this.#file)} did not start: ${(error as Error).message}`);
    }
    return this;
  }

  /** The living processes that have reported, the primary first, then the oldest worker. */
  get processes(): readonly RemoteProcess[] {
    return this.#processes;
  }

  get primary(): RemoteProcess<P> | undefined {
    return this.#processes.find(({ role }) => role === "primary") as RemoteProcess<P> | undefined;
  }

  /** The living workers, the oldest first. */
  get workers(): RemoteProcess<W>[] {
    return this.#processes.filter(({ role }) => role === "worker") as RemoteProcess<W>[];
  }

  /** A worker by its place among the living ones, from 0. */
  worker(place: number): RemoteProcess<W> {
    const { workers } = this;
    const worker = workers[place];
    if (!worker) throw new Error(`no worker at place ${place}: ${workers.length} are alive`);
    return worker;
  }

  /** What the processes wrote to stdout and stderr. */
  get output(): string {
    return this.#program?.output ?? "";
  }

  /** Waits until `find` gives something, and gives that; it is tried when a process comes, goes or writes. */
  async until<T>(what: string, find: () => T | false | null | undefined, ms?: number): Promise<T> {
    if (!this.#program) throw new Error(`${basename(this.#file)} has not been started`);
    return this.#program.until(what, find, ms);
  }

  /** Waits until the processes have written `text`. */
  async waitForOutput(text: string): Promise<void> {
    await this.until(JSON.stringify(text), () => this.output.includes(text));
  }

  /** How its first process has ended. */
  async end(ms?: number): Promise<Exit> {
    if (!this.#program) throw new Error(`${basename(this.#file)} has not been started`);
    return within(
      this.#program.exited,
      () => `end of ${basename(this.#file)}; its output is:\n${this.output}\n`,
      ms,
    );
  }

  /** Ends every process and waits until all are gone. May be called again. */
  async close(): Promise<void> {
    const gone = this.#processes.map((process) => process.gone);
    for (const { pid } of this.#processes) kill(pid);
    for (const socket of this.#starting) socket.destroy();
    await Promise.all([this.#program?.close(), within(Promise.all(gone), "end of all processes")]);
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(socket: Socket): void {
    let reported: RemoteProcess | undefined;
    this.#starting.add(socket);
    socket.once("close", () => this.#starting.delete(socket));
    const channel = new ControlChannel(socket, (message: ControlMessage) => {
      if (message.type === "answer") reported?.settle(message);
      else if (message.type === "notice") reported?.emit(message.name, message.value);
      else if (message.type === "hello") {
        this.#starting.delete(socket);
        reported = new RemoteProcess(message, socket, channel, this.#options.deadlineMs);
        this.#admit(reported);
      }
    });
  }

  #admit(process: RemoteProcess): void {
    this.#processes = [...this.#processes, process].sort((a, b) => a.workerId - b.workerId);
    void process.gone.then(() => {
      this.#processes = this.#processes.filter((other) => other !== process);
      this.#program?.changes.tell();
    });
    this.#program?.changes.tell();
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone between the look and the kill.
  }
}
