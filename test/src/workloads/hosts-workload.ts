/**
 * The recovery workload over several hosts behind a load balancer without affinity: connections drop, workers and whole
 * hosts are killed, and Redis restarts once with its data. Runs in: tests.
 */
import { RedisServer } from "@holdfast/harness";
import type { Sending } from "../fixtures/recovery-node.js";
import { type RemoteWorker, TestCluster, untilServers } from "../harness/cluster.js";
import type { ClientHistory } from "../harness/history-check.js";
import { RoundRobin } from "../harness/round-robin.js";
import { openSubjects, pick, type Subject, sleep, stopAll, until } from "./subjects.js";

export interface HostsWorkloadOptions {
  readonly hosts: number;
  readonly workersPerHost: number;
  readonly clients: number;
  readonly rooms: number;
  /** Messages a second, of all workers together. */
  readonly rate: number;
  /** A client loses its connection this often, milliseconds on average. */
  readonly dropEveryMs: number;
  /** A random worker, or a host, is killed and started anew this often, milliseconds. */
  readonly killEveryMs: number;
  readonly kills: number;
  /** Of these, each so many-th is a whole host's: all of its processes at once. */
  readonly hostEvery: number;
}

export interface HostsWorkloadResult {
  readonly histories: ClientHistory[];
  /** Sessions that came back with other rooms or data than they had. */
  readonly faults: string[];
  readonly workerKills: number;
  readonly hostKills: number;
  readonly drops: number;
  readonly messages: number;
}

const APP = "workload";
const LEASE_MS = 3_000;
/** On a busy machine no host goes on alone: it begins an order of its own, and the places mean something else. */
const TIMEOUT_MS = 10_000;

export async function runHostsWorkload(options: HostsWorkloadOptions): Promise<HostsWorkloadResult> {
  const redis = await RedisServer.start();
  const run = new HostsWorkload(options, redis);
  try {
    return await run.run();
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${run.output}`, { cause: error });
  } finally {
    await run.close();
    await redis.close();
  }
}

class HostsWorkload {
  readonly #options: HostsWorkloadOptions;
  readonly #redis: RedisServer;
  readonly #sending: Sending;
  readonly #faults: string[] = [];
  #hosts: TestCluster[] = [];
  #balancer: RoundRobin | undefined;
  #subjects: Subject[] = [];
  #drops = 0;
  #workerKills = 0;
  #hostKills = 0;

  constructor(options: HostsWorkloadOptions, redis: RedisServer) {
    this.#options = options;
    this.#redis = redis;
    const { hosts, workersPerHost, rate, rooms } = options;
    this.#sending = {
      perSecond: rate / (hosts * workersPerHost),
      rooms: Array.from({ length: rooms }, (_, i) => `room ${i}`),
    };
  }

  get output(): string {
    return this.#hosts.map(({ output }) => output).join("\n");
  }

  async run(): Promise<HostsWorkloadResult> {
    const { hosts, clients } = this.#options;
    this.#hosts = await Promise.all(Array.from({ length: hosts }, () => this.#startHost()));
    await this.#untilTogether();
    this.#balancer = await RoundRobin.open(...this.#ports);
    this.#subjects = openSubjects(this.#balancer.url, clients, this.#sending.rooms);
    await until(() => this.#subjects.every((subject) => subject.isGreeted), "all clients");
    await this.#send(this.#workers);
    await this.#disturb();
    await this.#untilTogether();
    const { histories: all, messages } = await stopAll(this.#subjects, this.#workers);
    // Joins count when they were awaited, and the greeting comes then.
    const histories = all.map((history) => ({ ...history, greetingRoom: `@${history.client}` }));
    return {
      ...{ histories, messages, faults: this.#faults },
      ...{ workerKills: this.#workerKills, hostKills: this.#hostKills, drops: this.#drops },
    };
  }

  async close(): Promise<void> {
    for (const { client } of this.#subjects) client.close();
    this.#balancer?.close();
    await Promise.all(this.#hosts.map((host) => host.close()));
  }

  get #workers(): RemoteWorker[] {
    return this.#hosts.flatMap(({ workers }) => workers);
  }

  get #ports(): number[] {
    return this.#hosts.map(({ port }) => port);
  }

  #startHost(): Promise<TestCluster> {
    return TestCluster.start({
      workers: this.#options.workersPerHost,
      joinsHosts: true,
      backplane: { url: this.#redis.url, app: APP, lease: LEASE_MS, timeout: TIMEOUT_MS },
      stickyOptions: { hostAddress: "127.0.0.1" },
      io: { connectionStateRecovery: { skipMiddlewares: true } },
      workerModule: new URL("../../dist/fixtures/recovery-node.js", import.meta.url).href,
    });
  }

  async #untilTogether(): Promise<void> {
    await untilServers(this.#workers, this.#workers.length);
  }

  async #send(workers: readonly RemoteWorker[]): Promise<void> {
    for (const worker of workers) {
      worker.on("fault", (fault) => this.#faults.push(fault));
      await worker.run((ctx, how) => ctx.store.send(how), this.#sending);
    }
  }

  async #disturb(): Promise<void> {
    const { kills, hostEvery, killEveryMs, dropEveryMs, clients } = this.#options;
    const dropping = setInterval(() => this.#drop(), dropEveryMs / clients);
    try {
      for (let turn = 1; turn <= kills; turn++) {
        await sleep(killEveryMs);
        if (turn % hostEvery === 0) await this.#killHost();
        else await this.#killWorker();
        if (turn === Math.ceil(kills / 2)) await this.#restartRedis();
      }
      await sleep(killEveryMs);
    } finally {
      clearInterval(dropping);
    }
  }

  #drop(): void {
    const { client } = pick(this.#subjects);
    if (!client.socket.connected || !this.#balancer) return;
    this.#drops++;
    if (Math.random() < 0.5) client.leave(this.#balancer.url);
    else client.desert(this.#balancer.url);
  }

  async #killWorker(): Promise<void> {
    const host = pick(this.#hosts);
    await pick(host.workers).kill("SIGKILL");
    this.#workerKills++;
    await this.#send([await host.fork()]);
  }

  async #killHost(): Promise<void> {
    const victim = pick(this.#hosts);
    this.#hosts = this.#hosts.filter((host) => host !== victim);
    if (this.#balancer) this.#balancer.ports = this.#ports;
    await victim.close();
    this.#hostKills++;
    const fresh = await this.#startHost();
    this.#hosts.push(fresh);
    if (this.#balancer) this.#balancer.ports = this.#ports;
    await this.#send(fresh.workers);
  }

  async #restartRedis(): Promise<void> {
    await this.#redis.kill();
    await this.#redis.start();
  }
}
