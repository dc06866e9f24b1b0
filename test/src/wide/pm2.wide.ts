/** Stock PM2: the example in cluster mode and in fork mode, while PM2 does to it what it does. */
import { existsSync } from "node:fs";
import { Agent } from "node:http";
import { fileURLToPath } from "node:url";
import { skipsWithout } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { closedAfterEach } from "../harness/after-each.js";
import { Pm2 } from "../harness/pm2.js";
import { TRACKED_KINDS, TrackedClient } from "../harness/tracked-client.js";

const HAS_PROC = existsSync("/proc/self/cmdline");
skipsWithout(HAS_PROC, "The hub's process is looked for in /proc, which only Linux has.");

const EXAMPLES = fileURLToPath(new URL("../../../examples/", import.meta.url));
const APP = `${EXAMPLES}pm2/app.js`;
const LONG_MS = 300_000;

const opened = closedAfterEach({
  daemons: [] as Pm2[],
  clients: [] as TrackedClient[],
  agents: [] as Agent[],
  async close() {
    for (const client of this.clients.splice(0)) client.close();
    for (const agent of this.agents.splice(0)) agent.destroy();
    for (const daemon of this.daemons.splice(0)) await daemon.close();
  },
});

async function openPm2(): Promise<Pm2> {
  const pm2 = await Pm2.open();
  opened.daemons.push(pm2);
  return pm2;
}

/** The processes that listen. */
function listening(pm2: Pm2): Set<number> {
  return new Set([...pm2.logs("out").matchAll(/worker (\d+) listens/g)].map(([, pid]) => Number(pid)));
}

async function startApp(pm2: Pm2, instances = 4): Promise<void> {
  const wanted = listening(pm2).size + instances;
  await pm2.start(APP, "-i", String(instances));
  await pm2.until("workers that listen", () => listening(pm2).size >= wanted);
}

/** Nobody is left to clean up after workers that are ended while they start the hub; the next ones do. */
async function hubToStand(pm2: Pm2): Promise<void> {
  await pm2.until("hub", () => {
    const files = pm2.files();
    return (
      files.some((file) => file.endsWith("hub.sock")) && !files.some((file) => file.endsWith("hub.starting"))
    );
  });
}

/** Clients of all kinds, a third of them over a shared pool of connections. */
async function connect(pm2: Pm2, count: number): Promise<TrackedClient[]> {
  const pool = new Agent({ keepAlive: true, maxSockets: 16 });
  opened.agents.push(pool);
  const clients: TrackedClient[] = [];
  for (let i = 0; i < count; i++) {
    const kind = TRACKED_KINDS[i % TRACKED_KINDS.length] ?? "polling";
    clients.push(new TrackedClient(pm2.url, kind, kind === "polling" && i % 2 === 0 ? pool : undefined));
  }
  opened.clients.push(...clients);
  await Promise.all(clients.map((client) => client.settled()));
  return clients;
}

const speakerOf = (text: string) => text.split(":")[0];
const numberOf = (text: string) => Number(text.split(":")[1]);

/** Numbers what is said, so that what is missing, double or out of order shows. */
class Talk {
  readonly #clients: readonly TrackedClient[];
  readonly #said: string[] = [];

  constructor(clients: readonly TrackedClient[]) {
    this.#clients = clients;
  }

  /** Every tenth client says something; all hear it. */
  async round(): Promise<void> {
    const speakers = this.#clients.filter((client, i) => i % 10 === 0 && client.socket.connected);
    const texts = speakers.map((client, i) => {
      const text = `${i}:${this.#said.length + i}`;
      client.socket.emit("say", text);
      return text;
    });
    this.#said.push(...texts);
    await Promise.all(
      this.#clients.map((client) =>
        client.until(`all of ${texts}`, () => texts.every((text) => client.heard.includes(text)), 90_000),
      ),
    );
  }

  /** All have heard everything once, and what one client has said in its order. */
  check(): void {
    for (const { heard } of this.#clients) {
      expect(new Set(heard).size).toBe(heard.length);
      for (const speaker of new Set(heard.map(speakerOf))) {
        const numbers = heard.filter((text) => speakerOf(text) === speaker).map(numberOf);
        expect(numbers).toEqual(numbers.toSorted((x, y) => x - y));
      }
      expect(new Set(heard)).toEqual(new Set(this.#said));
    }
  }
}

/** All are connected; whoever has been somewhere else has its session. */
async function expectRecovered(clients: readonly TrackedClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.connected()));
  for (const { recovered, kind } of clients) expect([kind, recovered.every(Boolean)]).toEqual([kind, true]);
}

async function expectNothingLeft(pm2: Pm2): Promise<void> {
  await pm2.until(`end of ${pm2.files()}`, () => pm2.files().length === 0);
}

describe("cluster mode", () => {
  test("60 clients on 4 workers: no wrong answer, every broadcast once and in order", {
    timeout: LONG_MS,
  }, async () => {
    const pm2 = await openPm2();
    await startApp(pm2);
    const clients = await connect(pm2, 60);
    expect(new Set(clients.flatMap(({ workers }) => workers)).size).toBe(4);
    const talk = new Talk(clients);
    for (let round = 0; round < 5; round++) await talk.round();
    talk.check();
    expect(clients.flatMap(({ losses, failures }) => [...losses, ...failures])).toEqual([]);
    expect(pm2.logs("error")).toBe("");
    for (const client of clients) client.close();
    await pm2.run("stop", "app");
    await expectNothingLeft(pm2);
  });

  test("reload, scale, restart: sessions are recovered, nothing is lost", { timeout: LONG_MS }, async () => {
    const pm2 = await openPm2();
    await startApp(pm2);
    const clients = await connect(pm2, 60);
    const talk = new Talk(clients);
    await talk.round();
    const before = new Set(clients.flatMap(({ workers }) => workers));
    await pm2.run("reload", "app");
    await expectRecovered(clients);
    await talk.round();
    for (const { workers } of clients) expect(before.has(workers.at(-1) as number)).toBe(false);
    await pm2.run("scale", "app", "6");
    await pm2.until("workers that listen", () => listening(pm2).size >= 10);
    await talk.round();
    await pm2.run("scale", "app", "2");
    await expectRecovered(clients);
    await talk.round();
    talk.check();
    // A client that takes seconds from one poll to the next, as on a busy machine, finds its worker gone.
    const failures = clients.flatMap((client) => client.failures);
    expect(failures.filter((failure) => failure !== "xhr poll error 400")).toEqual([]);
    expect(pm2.logs("error")).toBe("");
  });

  test("SIGKILL of a worker: its sessions are recovered, those of others live on", {
    timeout: LONG_MS,
  }, async () => {
    const pm2 = await openPm2();
    await startApp(pm2);
    const clients = await connect(pm2, 30);
    const talk = new Talk(clients);
    await talk.round();
    const killed = clients[0]?.workers[0] as number;
    process.kill(killed, "SIGKILL");
    const moved = clients.filter(({ workers }) => workers[0] === killed);
    // A connection that node:cluster was just giving to it is lost; its client notices after a ping that does not come.
    await Promise.all(
      moved.map((client) => client.until("another worker", () => client.workers.length > 1, 90_000)),
    );
    await expectRecovered(clients);
    await talk.round();
    talk.check();
  });

  test.skipIf(!HAS_PROC)(
    "SIGKILL of the hub: another one stands, and nobody is disconnected",
    { timeout: LONG_MS },
    async () => {
      const pm2 = await openPm2();
      await startApp(pm2);
      const clients = await connect(pm2, 12);
      const [killed] = pm2.hubs();
      process.kill(killed as number, "SIGKILL");
      await pm2.until("another hub", () => pm2.hubs().some((pid) => pid !== killed));
      // Workers join it one after the other.
      let said = 0;
      await pm2.until("a broadcast that reaches everybody", () => {
        clients[0]?.socket.emit("say", `again ${said++}`);
        return clients.every(({ heard }) => heard.some((text) => text === clients[0]?.heard.at(-1)));
      });
      expect(clients.flatMap(({ losses, failures }) => [...losses, ...failures])).toEqual([]);
      expect(pm2.logs("error")).toContain("HOLDFAST_ERR_");
    },
  );

  test("stop, delete and kill leave nothing behind", { timeout: LONG_MS }, async () => {
    const pm2 = await openPm2();
    await startApp(pm2, 2);
    await hubToStand(pm2);
    expect(pm2.files().length).toBeGreaterThan(2);
    await pm2.run("stop", "app");
    await expectNothingLeft(pm2);
    await pm2.run("restart", "app");
    await pm2.until("workers that listen", () => listening(pm2).size >= 4);
    await hubToStand(pm2);
    await pm2.run("delete", "app");
    await expectNothingLeft(pm2);
    await startApp(pm2, 2);
    await hubToStand(pm2);
    const pids = (await pm2.list()).map(({ pid }) => pid);
    await pm2.run("kill");
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    await expectNothingLeft(pm2);
  });

  test("two applications under one daemon never meet", { timeout: LONG_MS }, async () => {
    const pm2 = await openPm2();
    await startApp(pm2, 2);
    const other = (await openPm2()).port;
    await pm2.startWith({ PORT: String(other) }, APP, "--name", "other", "-i", "2");
    await pm2.until("workers that listen", () => listening(pm2).size >= 4);
    const clients = await connect(pm2, 6);
    const strangers = TRACKED_KINDS.map((kind) => new TrackedClient(`http://127.0.0.1:${other}`, kind));
    opened.clients.push(...strangers);
    await Promise.all(strangers.map((client) => client.settled()));
    const talk = new Talk(clients);
    await talk.round();
    await new Talk(strangers).round();
    talk.check();
    for (const { heard } of strangers) expect(heard).toHaveLength(1);
  });
});

test("fork mode: a single process of the same application", { timeout: LONG_MS }, async () => {
  const pm2 = await openPm2();
  await pm2.start(APP);
  await pm2.until("a worker that listens", () => listening(pm2).size === 1);
  expect(pm2.files()).toEqual([]);
  const clients = await connect(pm2, 6);
  const talk = new Talk(clients);
  await talk.round();
  talk.check();
  expect(pm2.logs("error")).toBe("");
});

test("fork mode: the quick start, with its own primary", { timeout: LONG_MS }, async () => {
  const pm2 = await openPm2();
  await pm2.startWith({ WORKERS: "2" }, `${EXAMPLES}cluster-esm/server.js`, "--name", "quick");
  await pm2.until("port", () => /port \d+/.test(pm2.logs("out")));
  const clients = await connect(pm2, 6);
  const talk = new Talk(clients);
  await talk.round();
  talk.check();
  expect(pm2.logs("error")).toBe("");
  for (const client of clients) client.close();
  await pm2.run("delete", "quick");
  await expectNothingLeft(pm2);
});
