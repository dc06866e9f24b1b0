/**
 * A Redis Sentinel for tests, on a free port of the loopback interface: it watches one server and its replicas, and calls
 * a failover when it is told to, not by itself, so that a busy machine is no failure.
 * Owns: its process and its folder. Runs in: tests.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, untilListening } from "./ports.js";
import { Program } from "./program.js";
import { findRedisServer, type RedisServer } from "./redis-server.js";

/** Longer than any test. */
const PATIENCE_MS = 600_000;

export class RedisSentinel {
  /** What it calls the server that it watches. */
  static readonly service = "main";
  readonly port: number;
  readonly #directory: string;
  readonly #program: Program;

  private constructor(port: number, directory: string, program: Program) {
    this.port = port;
    this.#directory = directory;
    this.#program = program;
  }

  static async start(master: RedisServer): Promise<RedisSentinel> {
    const directory = mkdtempSync(join(tmpdir(), "hf-sentinel-"));
    const port = await freePort();
    const file = join(directory, "sentinel.conf");
    const { service } = RedisSentinel;
    // It writes what it has learnt into this file.
    const lines = [
      "bind 127.0.0.1",
      `port ${port}`,
      `dir ${directory}`,
      `sentinel monitor ${service} 127.0.0.1 ${master.port} 1`,
      `sentinel down-after-milliseconds ${service} ${PATIENCE_MS}`,
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    const program = new Program(String(findRedisServer()), [file, "--sentinel"]);
    const sentinel = new RedisSentinel(port, directory, program);
    try {
      await untilListening(port);
    } catch (error) {
      await sentinel.close();
      throw new Error(`the sentinel did not start: ${program.output}`, { cause: error });
    }
    return sentinel;
  }

  async close(): Promise<void> {
    await this.#program.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
