/**
 * Socket.IO clients over long polling: each sends a numbered message as soon as the last one came back,
 * and always has a poll waiting, as a browser does. Runs in: load generators.
 */
import type { Commands } from "@holdfast/harness";
import { HttpPool } from "./http-wire.js";

export interface PollReport {
  readonly requests: number;
  readonly echoes: number;
  readonly failures: readonly string[];
  /** Connections opened during the window. */
  readonly connections: number;
  readonly seconds: number;
}

const PATH = "/socket.io/?EIO=4&transport=polling";
/** Separates the packets of one payload. */
const RECORD_SEPARATOR = "\x1e";
const ECHO = "42";

class Poller {
  requests = 0;
  echoes = 0;
  failure: string | undefined;
  /** Of its session. */
  sid = "";
  #polls: HttpPool;
  #posts: HttpPool;
  #path = PATH;
  #sent = 0;
  #echoed: (() => void) | undefined;

  constructor(pool: HttpPool) {
    this.#polls = pool;
    this.#posts = pool;
  }

  async connect(): Promise<void> {
    const packet = (await this.#ask("GET")).slice(1);
    ({ sid: this.sid } = JSON.parse(packet) as { sid: string });
    this.#path = `${PATH}&sid=${this.sid}`;
    await this.#ask("POST", "40");
    const answer = await this.#ask("GET");
    if (!answer.startsWith("40")) throw new Error(`instead of the CONNECT answer: ${answer.slice(0, 80)}`);
  }

  /** From now on a poll waits at any time. The pools are those that it connected with, unless there are others. */
  listen(polls = this.#polls, posts = this.#posts): void {
    this.#polls = polls;
    this.#posts = posts;
    void this.#poll();
  }

  /** Sends one message after the other until `end`. */
  async exchange(end: number): Promise<void> {
    try {
      while (performance.now() < end && this.failure === undefined) {
        const echo = new Promise<void>((resolve) => {
          this.#echoed = resolve;
        });
        this.#sent++;
        await Promise.all([this.#ask("POST", `42["e",${this.#sent}]`), echo]);
      }
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  async #poll(): Promise<void> {
    try {
      while (this.failure === undefined) {
        for (const packet of (await this.#ask("GET")).split(RECORD_SEPARATOR)) this.#take(packet);
      }
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #take(packet: string): void {
    if (!packet.startsWith(ECHO)) return;
    const expected = `42["e",${this.#sent}]`;
    if (packet !== expected) this.#fail(new Error(`${packet} instead of ${expected}`));
    this.echoes++;
    this.#echoed?.();
  }

  async #ask(method: "GET" | "POST", body = ""): Promise<string> {
    this.requests++;
    const isPoll = method === "GET";
    const answer = await (isPoll ? this.#polls.get(this.#path) : this.#posts.post(this.#path, body));
    if (answer.status !== 200)
      throw new Error(`${method} answered with ${answer.status} ${answer.body.slice(0, 60)}`);
    return answer.body;
  }

  #fail(error: Error): void {
    this.failure ??= error.message;
    this.#echoed?.();
  }
}

/** The part of a session id that tells which worker has it: see `docs/protocol.md`. */
const MARK_LENGTH = 10;

function markOf({ sid }: Poller): string {
  return sid.slice(0, MARK_LENGTH);
}

export function pollers(): Commands {
  let clients: Poller[] = [];
  let pools: HttpPool[] = [];

  return {
    /** Connects `count` clients, each with connections of its own or all with one shared pool. */
    gatherPollers: async (port: number, count: number, shared: boolean) => {
      const pool = new HttpPool(port);
      pools = shared ? [pool] : Array.from({ length: count }, () => new HttpPool(port));
      clients = Array.from({ length: count }, (_, i) => new Poller(pools[i] ?? pool));
      for (const client of clients) {
        await client.connect();
        client.listen();
      }
    },
    /**
     * Connects `count` clients, and has each poll over a connection that is at another worker than its session. What
     * they send goes there directly. @returns how many clients of the same worker there are at most
     */
    gatherStrays: async (port: number, count: number): Promise<number> => {
      const homes = Array.from({ length: count }, () => new HttpPool(port));
      const away = new Map<Poller, HttpPool>();
      for (const pool of homes) {
        const client = new Poller(pool);
        await client.connect();
        away.set(client, pool);
      }
      clients = [...away.keys()].sort((x, y) => (markOf(x) < markOf(y) ? -1 : 1));
      const sizes = new Map<string, number>();
      for (const client of clients) sizes.set(markOf(client), (sizes.get(markOf(client)) ?? 0) + 1);
      const largest = Math.max(...sizes.values());
      const directs = clients.map(() => new HttpPool(port));
      clients.forEach((client, i) => {
        const other = clients[(i + largest) % count] as Poller;
        client.listen(away.get(other), directs[i]);
      });
      pools = [...homes, ...directs];
      return largest;
    },
    exchange: async (ms: number): Promise<PollReport> => {
      const total = (key: "requests" | "echoes") => clients.reduce((all, client) => all + client[key], 0);
      const opened = () => pools.reduce((all, pool) => all + pool.opened, 0);
      const before = { requests: total("requests"), echoes: total("echoes"), opened: opened() };
      const start = performance.now();
      await Promise.all(clients.map((client) => client.exchange(start + ms)));
      return {
        requests: total("requests") - before.requests,
        echoes: total("echoes") - before.echoes,
        failures: [...new Set(clients.flatMap(({ failure }) => failure ?? []))],
        connections: opened() - before.opened,
        seconds: (performance.now() - start) / 1000,
      };
    },
  };
}
