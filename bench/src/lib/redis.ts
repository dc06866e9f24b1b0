/**
 * A Redis server for a contestant that needs one, on a free port of the loopback interface, keeping nothing.
 * Owns: its process and the connection that asks for its CPU time. Runs in: the bench; clients in workers.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, within } from "@holdfast/harness";
import { createClient } from "redis";

type Client = ReturnType<typeof createClient>;

const TRY_MS = 50;

export function redisUrl(port: number): string {
  return `redis://127.0.0.1:${port}`;
}

export async function connectRedis(port: number): Promise<Client> {
  const client = createClient({ url: redisUrl(port) });
  await client.connect();
  return client;
}

export class RedisServer {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #client: Client;

  private constructor(port: number, child: ChildProcess, client: Client) {
    this.port = port;
    this.#child = child;
    this.#client = client;
  }

  /** Needs `redis-server` (Debian: apt-get install redis-server). */
  static async start(): Promise<RedisServer> {
    const port = await freePort();
    const child = spawn(
      "redis-server",
      ["--bind", "127.0.0.1", "--port", String(port), "--save", "", "--appendonly", "no"],
      { stdio: "ignore" },
    );
    const failed = once(child, "error").then(([error]) => {
      throw new Error(
        `no redis-server: ${(error as Error).message}. Install it, or leave out what needs it.`,
      );
    });
    try {
      await within(Promise.race([listens(port), failed]), "Redis server");
      return new RedisServer(port, child, await connectRedis(port));
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  /** User and system time since its start, microseconds. */
  async cpu(): Promise<number> {
    const info = await this.#client.info("cpu");
    const seconds = (name: string) => Number(info.match(new RegExp(`^${name}:(.*)$`, "m"))?.[1]);
    return (seconds("used_cpu_user") + seconds("used_cpu_sys")) * 1e6;
  }

  async close(): Promise<void> {
    this.#client.destroy();
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await within(exited, "end of the Redis server");
  }
}

async function listens(port: number): Promise<void> {
  for (;;) {
    const client = createClient({ url: redisUrl(port), socket: { reconnectStrategy: false } });
    client.on("error", () => {});
    try {
      await client.connect();
      client.destroy();
      return;
    } catch {
      await sleep(TRY_MS);
    }
  }
}
