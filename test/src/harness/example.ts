/**
 * Runs what lies under examples/, or a project of a test, the way a person would, and talks to it over the network only.
 * Owns: the example's processes, and clients. Runs in: tests.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Changes, type Exit, Program } from "@holdfast/harness";
import { io, type Socket } from "socket.io-client";

const EXAMPLES = fileURLToPath(new URL("../../../examples/", import.meta.url));

export interface ExampleOptions {
  /** Path under the folder. */
  readonly script: string;
  readonly args?: string[];
  readonly env?: NodeJS.ProcessEnv;
  /** @default examples/ */
  readonly folder?: string;
  /** What runs the script, and its arguments before that. @default this Node.js, without any */
  readonly command?: string;
  readonly commandArgs?: string[];
}

/** Compilers that check types, and frameworks, take their time, in each process. Milliseconds. */
const START_MS = 120_000;

export class Example extends Program {
  readonly #clients: ExampleClient[] = [];
  port = 0;

  constructor(options: ExampleOptions) {
    const { script, args = [], env = {}, folder = EXAMPLES } = options;
    const { command = process.execPath, commandArgs = [] } = options;
    super(command, [...commandArgs, join(folder, script), ...args], {
      env: { PORT: "0", WORKERS: "2", ...env },
    });
  }

  /** Starts an example and waits until as many workers are up. Ends it if they do not come. */
  static async start(options: ExampleOptions, workers = 2): Promise<Example> {
    const example = new Example(options);
    try {
      example.port = Number((await example.line(/^port (\d+)$/, 1, START_MS))[1]);
      await example.line(/^worker \d+ is up$/, workers, START_MS);
      return example;
    } catch (error) {
      await example.close();
      throw error;
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Connects a client and waits until its worker has introduced itself. */
  async connect(kind: ClientKind): Promise<ExampleClient> {
    const client = new ExampleClient(this.url, kind);
    this.#clients.push(client);
    await client.settled();
    return client;
  }

  /** Ends the clients and the primary; its workers must follow by themselves. */
  override async stop(): Promise<Exit> {
    for (const client of this.#clients) client.close();
    try {
      return await super.stop();
    } finally {
      await this.close();
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
  readonly #news = new Changes();

  constructor(url: string, kind: ClientKind) {
    this.kind = kind;
    this.socket = io(url, {
      forceNew: true,
      transports: kind === "upgrade" ? ["polling", "websocket"] : [kind],
      reconnectionDelay: 50,
      reconnectionDelayMax: 500,
    });
    this.socket.on("worker", (pid: number) => {
      this.workers.push(pid);
      this.#news.tell();
    });
    this.socket.on("said", (text: string) => {
      this.heard.push(text);
      this.#news.tell();
    });
    this.socket.on("connect", () => this.socket.io.engine.on("upgrade", () => this.#news.tell()));
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
    const missing = () => `${what} (${this.kind} client, heard ${JSON.stringify(this.heard)})`;
    await this.#news.until(missing, condition);
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
