/**
 * A Redis server for tests, on a free port of the loopback interface, with a folder of its own.
 * Owns: its process and its folder. Runs in: tests.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "./find-program.js";
import { freePort, untilListening } from "./ports.js";
import { Program } from "./program.js";

/** Path of `redis-server`; undefined when tests that need it are to be skipped. */
export function findRedisServer(): string | undefined {
  return findProgram({
    name: "Redis",
    programs: ["redis-server", "valkey-server"],
    variable: "REDIS_SERVER_PATH",
    paths: ["/usr/bin/redis-server", "/usr/local/bin/redis-server"],
    cure: "Install Debian's package redis-server.",
  });
}

export interface RedisServerOptions {
  /** Whether its data are there again after `restart()`. @default true */
  readonly keepsData?: boolean;
  /** More settings, as on its command line: `["--maxmemory", "2mb"]`. */
  readonly settings?: readonly string[];
}

export class RedisServer {
  readonly port: number;
  readonly #directory = mkdtempSync(join(tmpdir(), "hf-redis-"));
  readonly #settings: readonly string[];
  #program: Program | undefined;

  private constructor(port: number, { keepsData = true, settings = [] }: RedisServerOptions) {
    this.port = port;
    this.#settings = [
      "--save",
      "",
      "--appendonly",
      keepsData ? "yes" : "no",
      "--appendfsync",
      "no",
      ...settings,
    ];
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    for (;;) {
      const server = new RedisServer(await freePort(), options);
      try {
        await server.start();
        return server;
      } catch (error) {
        await server.close();
        // Somebody else was given the port meanwhile.
        if (!/Address already in use/.test(String(error))) throw error;
      }
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, on the same port as before. */
  async start(): Promise<void> {
    const place = ["--bind", "127.0.0.1", "--port", String(this.port), "--dir", this.#directory];
    const program = new Program(String(findRedisServer()), [...place, ...this.#settings]);
    this.#program = program;
    const ended = program.gone.then(() => {
      throw new Error(`redis-server has ended: ${program.output}`);
    });
    // It will end one day.
    ended.catch(() => {});
    await Promise.race([ended, untilListening(this.port)]);
  }

  /** Kills it. */
  async kill(): Promise<void> {
    await this.#program?.close();
  }

  /** Halts it: connections stay, and nobody answers. */
  stop(): void {
    this.#program?.signal("SIGSTOP");
  }

  resume(): void {
    this.#program?.signal("SIGCONT");
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
