/**
 * Runs what lies under examples/ the way a person would, and talks to it over the network only.
 * Owns: the example's primary and, through its output, the knowledge that all its processes are gone.
 * Runs in: tests.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { io, type Socket } from "socket.io-client";
import { within } from "./cluster.js";

const EXAMPLES = fileURLToPath(new URL("../../../examples/", import.meta.url));

export interface ExampleOptions {
  /** Path under examples/. */
  readonly script: string;
  readonly args?: string[];
  readonly env?: NodeJS.ProcessEnv;
}

export class Example {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #news = new EventEmitter();
  readonly #clients: ExampleClient[] = [];
  /** Settles when nobody holds the example's output any more: the primary and every worker is gone. */
  readonly gone: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stderr = "";
  port = 0;

  constructor({ script, args = [], env = {} }: ExampleOptions) {
    this.#news.setMaxListeners(0);
    // A process group of its own: clean-up reaches workers whose primary is gone already.
    this.#child = spawn(process.execPath, [EXAMPLES + script, ...args], {
      env: { ...process.env, PORT: "0", WORKERS: "2", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new Error("unreachable: both are pipes");
    createInterface(stdout).on("line", (line) => {
      this.#lines.push(line);
      this.#news.emit("line");
    });
    stderr.on("data", (chunk) => {
      this.stderr += chunk;
    });
    this.gone = once(this.#child, "close").then(([code, signal]) => ({ code, signal }));
  }

  /** Starts an example and waits for `ready` lines "worker … is up". */
  static async start(options: ExampleOptions, workers = 2): Promise<Example> {
    const example = new Example(options);
    example.port = Number((await example.line(/^port (\d+)$/))[1]);
    await example.line(/^worker \d+ is up$/, workers);
    return example;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("the example did not start");
    return this.#child.pid;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get output(): string {
    return this.#lines.join("\n") + this.stderr;
  }

  /** Waits until the output has `times` lines that match, and gives the last of them. */
  async line(pattern: RegExp, times = 1): Promise<RegExpMatchArray> {
    const found = new Promise<RegExpMatchArray>((resolve, reject) => {
      const look = () => {
        const match = this.#lines.map((line) => line.match(pattern)).filter((found) => found !== null)[
          times - 1
        ];
        if (match) resolve(match);
      };
      this.#news.on("line", look);
      look();
      void this.gone.then(() => reject(new Error(`the example ended:\n${this.output}`)));
    });
    return within(found, `line ${pattern}`).catch((error: Error) => {
      throw new Error(`${error.message}; the output is:\n${this.output}`);
    });
  }

  /** How many lines match so far. */
  count(pattern: RegExp): number {
    return this.#lines.filter((line) => pattern.test(line)).length;
  }

  /** Connects a client and waits until its worker has introduced itself. */
  async connect(kind: ClientKind): Promise<ExampleClient> {
    const client = new ExampleClient(this.url, kind);
    this.#clients.push(client);
    await client.settled();
    return client;
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Ends the clients and the primary; its workers must follow by themselves. */
  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    this.#child.kill("SIGTERM");
    try {
      await within(this.gone, `end of the example's processes; the output is:\n${this.output}`);
    } catch (error) {
      process.kill(-this.pid, "SIGKILL");
      throw error;
    }
  }
}

export const CLIENT_KINDS = ["polling", "websocket", "upgrade"] as const;
export type ClientKind = (typeof CLIENT_KINDS)[number];

/** A Socket.IO client that keeps what it hears. */
export class ExampleClient {
  readonly kind: ClientKind;
  readonly socket: Socket;
  readonly heard: string[] = [];
  /** Processes that have served this client, oldest first. */
  readonly workers: number[] = [];
  readonly #news = new EventEmitter();

  constructor(url: string, kind: ClientKind) {
    this.kind = kind;
    this.#news.setMaxListeners(0);
    this.socket = io(url, {
      forceNew: true,
      transports: kind === "upgrade" ? ["polling", "websocket"] : [kind],
      reconnectionDelay: 50,
      reconnectionDelayMax: 500,
    });
    this.socket.on("worker", (pid: number) => {
      this.workers.push(pid);
      this.#news.emit("news");
    });
    this.socket.on("said", (text: string) => {
      this.heard.push(text);
      this.#news.emit("news");
    });
    this.socket.on("connect", () => this.socket.io.engine.on("upgrade", () => this.#news.emit("news")));
  }

  /** The process that serves this client. */
  get worker(): number {
    const pid = this.workers.at(-1);
    if (pid === undefined) throw new Error("no worker has introduced itself");
    return pid;
  }

  get transport(): string {
    return this.socket.io.engine.transport.name;
  }

  /** Waits until `condition` holds; it is tried at each event and each upgrade. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const met = new Promise<void>((resolve) => {
      const look = () => {
        if (!condition()) return;
        this.#news.off("news", look);
        resolve();
      };
      this.#news.on("news", look);
      look();
    });
    await within(met, `${what} (${this.kind} client, heard ${JSON.stringify(this.heard)})`);
  }

  /** Waits until a worker has introduced itself and the transport is the one this client is for. */
  async settled(): Promise<void> {
    const transport = this.kind === "upgrade" ? "websocket" : this.kind;
    await this.until(
      "worker and transport",
      () => this.workers.length > 0 && this.socket.connected && this.transport === transport,
    );
  }

  close(): void {
    this.socket.disconnect();
  }
}

/** One says `text`; waits until everyone has heard it. */
export async function talk(speaker: ExampleClient, everyone: ExampleClient[], text: string): Promise<void> {
  const heard = everyone.map((client) => client.until(`"${text}"`, () => client.heard.includes(text)));
  speaker.socket.emit("say", text);
  await Promise.all(heard);
}
