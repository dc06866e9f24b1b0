/**
 * A process that an {@link Agent} has reported from, as the test or the bench sees it. Emits the notices that it sends.
 * Owns: the calls that are not answered. Runs in: tests and benches.
 */
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { type Answer, type ControlChannel, type Hello, unpackError } from "./control-channel.js";
import { within } from "./within.js";

/** Signals after which a process of ours is gone. */
const FATAL: readonly NodeJS.Signals[] = ["SIGKILL", "SIGTERM"];
const STOPPED = "T";
/** How much of a function's text a message shows. */
const SHOWN_CHARS = 120;

/** `C` is what functions that are given to `run()` find in their first argument. */
export class RemoteProcess<C = unknown> extends EventEmitter {
  readonly role: Hello["role"];
  /** 1…; 0 for a primary. */
  readonly workerId: number;
  readonly pid: number;
  /** Where it listens; 0 if it does not. */
  readonly port: number;
  /** Settles when the process is gone. */
  readonly gone: Promise<void>;
  readonly #channel: ControlChannel;
  readonly #deadlineMs: number | undefined;
  readonly #calls = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #lastCall = 0;
  #alive = true;

  constructor(hello: Hello, socket: Socket, channel: ControlChannel, deadlineMs: number | undefined) {
    super();
    this.setMaxListeners(0);
    this.role = hello.role;
    this.workerId = hello.workerId;
    this.pid = hello.pid;
    this.port = hello.port;
    this.#channel = channel;
    this.#deadlineMs = deadlineMs;
    // Its control connection lives as long as the process, and is reset by its end: no error, but what we wait for.
    this.gone = new Promise((resolve) => {
      socket.once("close", () => {
        this.#alive = false;
        for (const { reject } of this.#calls.values()) reject(this.#goneError());
        this.#calls.clear();
        resolve();
      });
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** For messages: "worker 2 (pid 4711)". */
  get title(): string {
    return `${this.role} ${this.workerId} (pid ${this.pid})`;
  }

  /** Calls one of the process' commands. */
  async call<R = unknown>(command: string, ...args: unknown[]): Promise<R> {
    return (await this.#ask(command, args, `"${command}"`)) as R;
  }

  /**
   * Runs `fn` in the process, which has `runsFunctions()` among its commands. Its text is sent there: it must not use
   * anything from outside but its arguments. What it throws is thrown here, with its code and other fields.
   */
  async run<A extends unknown[], R>(fn: (context: C, ...args: A) => R, ...args: A): Promise<Awaited<R>> {
    const source = fn.toString();
    const shown = source.replace(/\s+/g, " ").slice(0, SHOWN_CHARS);
    return (await this.#ask("run", [source, args], `\`${shown}\``)) as Awaited<R>;
  }

  /** Tells the process something; it does not answer. */
  notify(name: string, value?: unknown): void {
    this.#channel.send({ type: "notice", name, value });
  }

  /** The value of the next notice of this name. Starts to wait at once: call it before the act that causes it. */
  async next<T = unknown>(name: string): Promise<T> {
    const waiting = new AbortController();
    const arrived = once(this, name, waiting).then(([value]) => value as T);
    const lost = this.gone.then(() => Promise.reject(this.#goneError()));
    try {
      return await within(Promise.race([arrived, lost]), `"${name}" from ${this.title}`, this.#deadlineMs);
    } finally {
      waiting.abort();
    }
  }

  /** Sends a signal, and waits until it has had its effect: the process is gone, or stopped. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    process.kill(this.pid, signal);
    if (FATAL.includes(signal)) await within(this.gone, `end of ${this.title}`, this.#deadlineMs);
    else if (signal === "SIGSTOP") await this.halted();
  }

  /** Waits until the process stands still, whoever has stopped it: what comes earlier does not let it go on. */
  async halted(): Promise<void> {
    await within(this.#stopped(), `halt of ${this.title}`, this.#deadlineMs);
  }

  /** Halts the process wherever it is, and waits until it stands still. */
  async stop(): Promise<void> {
    await this.kill("SIGSTOP");
  }

  /** Lets a process that was stopped go on. */
  async resume(): Promise<void> {
    await this.kill("SIGCONT");
  }

  /** Called by the owner of the channel. */
  settle({ id, value, error }: Answer): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) call?.resolve(value);
    else call?.reject(unpackError(error));
  }

  async #ask(command: string, args: unknown[], what: string): Promise<unknown> {
    if (!this.#alive) throw this.#goneError();
    const id = ++this.#lastCall;
    const answer = new Promise<unknown>((resolve, reject) => this.#calls.set(id, { resolve, reject }));
    this.#channel.send({ type: "call", id, command, args });
    return within(answer, `answer to ${what} from ${this.title}`, this.#deadlineMs);
  }

  /** There is no event for it: the system says so under /proc, where it has that. */
  async #stopped(): Promise<void> {
    for (;;) {
      const state = stateOf(this.pid);
      if (state === undefined || state === STOPPED) return;
      await new Promise(setImmediate);
    }
  }

  #goneError(): Error {
    return new Error(`${this.title} is gone`);
  }
}

/** The state of a process, by a letter. @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function stateOf(pid: number): string | undefined {
  try {
    return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))?.[1];
  } catch {
    return undefined;
  }
}
