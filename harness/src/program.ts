/**
 * A program that runs beside a test: what it writes, how it ends.
 * Owns: its process and, if it has a group of its own, what that has started. Runs in: tests and benches.
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { basename } from "node:path";
import { Changes } from "./changes.js";
import { within } from "./within.js";

export interface ProgramOptions extends Pick<SpawnOptions, "cwd" | "uid" | "gid"> {
  /** Added to this process' own environment; `undefined` takes a variable away. */
  readonly env?: NodeJS.ProcessEnv;
  /** Written to its standard input, which then ends. Without it, it reads from nowhere. */
  readonly input?: string | Buffer;
  /**
   * Whether it is the head of a process group of its own, so that `close()` reaches what it has started, also when it
   * is gone itself. @default true
   */
  readonly group?: boolean;
  /** Whether it has an IPC channel to this process, as after `fork()`. @default false */
  readonly ipc?: boolean;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Program {
  /** Settles when its own process is gone; fails if it could not be started. */
  readonly exited: Promise<Exit>;
  /** Settles when nobody holds its output any more: what it has started is gone as well. */
  readonly gone: Promise<Exit>;
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #hasGroup: boolean;
  /** Told of what it writes and of its end; whoever knows of more that `until()` has to look at tells of that. */
  readonly changes = new Changes();
  /** Ended when nothing can come from it any more. */
  #state: "running" | "ended" = "running";
  stdout = "";
  stderr = "";
  /** Both, in the order in which they came. */
  output = "";

  constructor(command: string, args: readonly string[] = [], options: ProgramOptions = {}) {
    const { env, input, group = true, ipc = false, ...rest } = options;
    this.#name = basename(args.find((arg) => /\.[cm]?js$/.test(arg)) ?? command);
    this.#hasGroup = group;
    this.#child = spawn(command, args, {
      ...rest,
      env: { ...process.env, ...env },
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe", ...(ipc ? (["ipc"] as const) : [])],
      detached: group,
    });
    const { stdin, stdout, stderr } = this.#child;
    // It may end without having read it.
    stdin?.on("error", () => {}).end(input);
    stdout?.setEncoding("utf8").on("data", (text: string) => this.#keep("stdout", text));
    stderr?.setEncoding("utf8").on("data", (text: string) => this.#keep("stderr", text));
    const endOf = (event: "exit" | "close") =>
      once(this.#child, event).then(([code, signal]): Exit => ({ code, signal }));
    this.exited = endOf("exit");
    this.gone = endOf("close");
    const onEnd = () => {
      this.#state = "ended";
      this.changes.tell();
    };
    this.exited.catch(() => {});
    this.gone.then(onEnd, onEnd);
  }

  /** A program of Node.js: a file, or any arguments of `node`. */
  static node(args: string | readonly string[], options?: ProgramOptions): Program {
    return new Program(process.execPath, typeof args === "string" ? [args] : args, options);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} did not start`);
    return this.#child.pid;
  }

  /** Waits until `find` gives something, and gives that; it is tried when the program writes or ends. */
  async until<T>(what: string, find: () => T | false | null | undefined, ms?: number): Promise<T> {
    const missing = () => `${what} from ${this.#name}; its output is:\n${this.output}\n`;
    const look = () => {
      const found = find();
      if (!found && this.#state === "ended") throw new Error(`${this.#name} ended: no ${missing()}`);
      return found;
    };
    return this.changes.until(missing, look, ms);
  }

  /** Waits until it has written `times` whole lines to its standard output that match, and gives the last of them. */
  async line(pattern: RegExp, times = 1, ms?: number): Promise<RegExpMatchArray> {
    return this.until(`line ${pattern}`, () => this.#matches(pattern)[times - 1], ms);
  }

  /** How many lines of its standard output match so far. */
  count(pattern: RegExp): number {
    return this.#matches(pattern).length;
  }

  /** Waits until it has written `text`, to either output. */
  async writes(text: string): Promise<void> {
    await this.until(JSON.stringify(text), () => this.output.includes(text));
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Waits until it has ended by itself, with everything that it has started. */
  async end(ms?: number): Promise<Exit> {
    return within(this.gone, () => `end of ${this.#name}; its output is:\n${this.output}\n`, ms);
  }

  /** Asks it to end with SIGTERM, unless it has, and waits until it and everything that it has started is gone. */
  async stop(ms?: number): Promise<Exit> {
    this.#child.kill("SIGTERM");
    return this.end(ms);
  }

  /** Kills what is left of it, and waits until that is gone. May be called at any time, and again. */
  async close(): Promise<void> {
    if (this.#child.pid === undefined) return;
    if (this.#hasGroup) killGroup(this.#child.pid);
    else this.#child.kill("SIGKILL");
    await within(this.exited, `end of ${this.#name}`);
  }

  #keep(stream: "stdout" | "stderr", text: string): void {
    this[stream] += text;
    this.output += text;
    this.changes.tell();
  }

  #matches(pattern: RegExp): RegExpMatchArray[] {
    const lines = this.stdout.split("\n").slice(0, -1);
    return lines.map((line) => line.match(pattern)).filter((match) => match !== null);
  }
}

/** What became of a program. */
export interface Result extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program until it and everything that it has started is gone. That it ends with an error is no error here. */
export async function runProgram(
  command: string,
  args: readonly string[] = [],
  options: ProgramOptions & { readonly deadlineMs?: number } = {},
): Promise<Result> {
  const { deadlineMs, ...rest } = options;
  const program = new Program(command, args, rest);
  try {
    const exit = await program.end(deadlineMs);
    return { ...exit, stdout: program.stdout, stderr: program.stderr };
  } finally {
    await program.close();
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody of it is left.
  }
}
