/** The figures for Prometheus: their names, what they say of a real cluster, and the pages and dashboards about them. */
import { readFileSync } from "node:fs";
import { collectMetrics } from "@holdfast/cluster/metrics";
import { httpRequest } from "@holdfast/harness";
import { Gauge, Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { expose } from "../../packages/cluster/dist/metrics/exposition.js";
import { METRICS } from "../../packages/cluster/dist/metrics/list.js";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { OF_HOSTS, OF_HUBS_PROCESS } from "./harness/host-metrics.js";
import { ROOT, read } from "./harness/markdown.js";
import { Supervised } from "./harness/supervised.js";

/** The others are looked at where there is a backplane, and where the hub is elsewhere. */
const ofACluster = METRICS.filter(({ name }) => !OF_HOSTS.test(name) && !OF_HUBS_PROCESS.test(name));

const start = startsClusters({ workers: 2 }, (cluster) => cluster.untilJoined());
const clients = closedAfterEach(new Clients());

/** Value of each line, by its name with its labels. */
function valuesOf(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

describe("the list", () => {
  test("names are as Prometheus asks, and unique", () => {
    for (const { name, type, help, labels } of METRICS) {
      expect(name).toMatch(/^holdfast_[a-z0-9]+(_[a-z0-9]+)*$/);
      expect(name.endsWith("_total")).toBe(type === "counter");
      expect(name).not.toMatch(/_(ms|milliseconds|kb|mb|percent)(_|$)/);
      expect(help).toMatch(/^[A-Z].*\.$/);
      const bounded = ["slot", "reason", "transport", "state", "result", "code"];
      for (const label of labels) expect(bounded).toContain(label);
    }
    const names = METRICS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test("docs/metrics.md has it, and nothing else", () => {
    const [, chapter = ""] = read("docs/metrics.md").split("<!-- figures -->");
    const [list = ""] = chapter.split("<!-- end -->");
    const items = list
      .replace(/\n {2}(?=\S)/g, " ")
      .split("\n")
      .filter((line) => line.startsWith("- "));
    const wanted = METRICS.map(({ name, type, labels, help }) => {
      const by = labels.length === 0 ? "" : ` by ${labels.map((each) => `\`${each}\``).join(", ")}`;
      return `- \`${name}\`, ${type}${by}: ${help}`;
    });
    // If this fails: npm run reference.
    expect(items.sort()).toEqual(wanted.sort());
  });

  test("the Grafana dashboard asks for what there is, and its panels do not lie on each other", () => {
    const dashboard = JSON.parse(readFileSync(`${ROOT}/docs/grafana/holdfast.json`, "utf8"));
    const names = new Set(METRICS.map(({ name }) => name));
    const asked = JSON.stringify(dashboard).match(/holdfast_[a-z0-9_]+/g) ?? [];
    expect(asked.length).toBeGreaterThan(20);
    const unknown = asked.filter(
      (name) => !names.has(name) && !names.has(name.replace(/_(bucket|sum|count)$/, "")),
    );
    expect(unknown).toEqual([]);
    const cells = new Set<string>();
    for (const { gridPos } of dashboard.panels) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(cells.has(`${x},${y}`)).toBe(false);
          cells.add(`${x},${y}`);
        }
      }
    }
  });
});

test("collectMetrics() puts what stats() say into a registry of prom-client, and takes it out again", async () => {
  const cluster = await start();
  await Promise.all([clients.connect(cluster.url), clients.connect(cluster.url)]);
  await cluster.a.run((ctx) => void ctx.io.emit("to all"));
  const { text, again, hub, router } = await cluster.primary.run(async (ctx) => {
    await ctx.until(() => {
      if (ctx.hub.stats().totals.delivered === 0) return false;
      const { slots, handover } = ctx.router.stats();
      const opened = slots.reduce(
        (sum: number, slot: { sessions: { opened: number } }) => sum + slot.sessions.opened,
        0,
      );
      return opened === 2 && handover.count === 2;
    });
    const { collectMetrics: collect } = (await ctx.import("@holdfast/cluster/metrics")) as {
      collectMetrics: typeof collectMetrics;
    };
    const { Registry: PromRegistry } = (await ctx.import("prom-client")) as { Registry: typeof Registry };
    const register = new PromRegistry();
    const collected = collect({ hub: ctx.hub, router: ctx.router, register });
    const shown = await register.metrics();
    const stats = { hub: ctx.hub.stats(), router: ctx.router.stats() };
    collected.close();
    collected.close();
    return { text: shown, again: await register.metrics(), ...stats };
  });
  const values = valuesOf(text);
  expect(values.get("holdfast_hub_members")).toBe(2);
  expect(values.get("holdfast_connections_accepted_total")).toBe(router.accepted);
  for (const { slot, sessions, handedOver } of router.slots) {
    expect(values.get(`holdfast_sessions{slot="${slot}",transport="websocket"}`)).toBe(
      sessions.open.websocket,
    );
    expect(values.get(`holdfast_connections_handed_over_total{slot="${slot}"}`)).toBe(handedOver);
  }
  expect(values.get("holdfast_connection_handover_seconds_count")).toBe(2);
  expect(values.get('holdfast_connection_handover_seconds_bucket{le="+Inf"}')).toBe(2);
  expect(values.get("holdfast_connection_handover_seconds_sum")).toBeCloseTo(
    router.handover.sumMs / 1_000,
    6,
  );
  expect(hub.members).toHaveLength(2);
  expect(values.get("holdfast_hub_delivered_packets_total")).toBe(hub.totals.delivered);
  expect(hub.members.map((member: { delivered: number }) => member.delivered).sort()).toEqual([0, 1]);
  expect(values.get("holdfast_primary_resident_memory_bytes")).toBeGreaterThan(1e6);
  expect(values.get("holdfast_primary_heap_bytes")).toBeLessThan(
    values.get("holdfast_primary_heap_limit_bytes") ?? 0,
  );
  expect(again.trim()).toBe("");
  // Without a supervisor there is nothing of workers' processes.
  expect(text).not.toContain("holdfast_worker_");
});

test("what there is nothing of is left out, and misuse is refused", () => {
  const register = new Registry();
  const stats = () => ({ accepted: 1, refused: {}, pending: 0, waiting: 0, slots: [], workers: [] }) as never;
  const { names } = collectMetrics({ router: { stats }, register });
  expect(names.every((name) => !name.startsWith("holdfast_hub_"))).toBe(true);
  expect(() => collectMetrics({ register } as never)).toThrow(
    /needs a hub, a router, a cluster or an adapter/,
  );
  expect(() => collectMetrics({ hub: {}, register } as never)).toThrow(/"hub"/);
  expect(() => collectMetrics({ router: { stats }, register: {} } as never)).toThrow(
    /registry of prom-client/,
  );
  for (const cluster of [{}, { hub: { stats }, router: { stats } }]) {
    expect(() => collectMetrics({ cluster, register } as never)).toThrow(
      /what startCluster\(\) has resolved with/,
    );
  }
  expect(() => collectMetrics(undefined as never)).toThrow(/registry of prom-client/);
  const hubStats = () => Promise.reject(new Error("no hub"));
  expect(() => collectMetrics({ adapter: {}, register } as never)).toThrow(
    /what createAdapter\(\) has returned/,
  );
  expect(() => collectMetrics({ adapter: { hubStats }, hub: { stats }, register })).toThrow(
    /two ways to one hub/,
  );
});

test("a registry of OpenMetrics names every figure as that wants it", async () => {
  const register = new Registry();
  register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
  register.setDefaultLabels({ app: "chat" });
  const durations = { boundsMs: [1], counts: [1, 0], sumMs: 1, count: 1 };
  const moves = { underway: 0, moved: 0, polling: 0, lost: 0, closed: 0, waited: 0 };
  const router = { accepted: 7, refused: {}, pending: 3, waiting: 0, slots: [], workers: [], moves };
  const stats = () => ({ ...router, handover: durations, moveDuration: durations }) as never;
  collectMetrics({ router: { stats }, register });
  const lines = (await register.metrics()).split("\n");
  for (const line of [
    "# TYPE holdfast_connections_accepted counter",
    'holdfast_connections_accepted_total{app="chat"} 7',
    'holdfast_connections_pending{app="chat"} 3',
    'holdfast_connection_handover_seconds_bucket{le="+Inf",app="chat"} 1',
  ]) {
    expect(lines).toContain(line);
  }
  expect(lines.filter((line) => line.includes("_total_total"))).toEqual([]);
});

test("two registries have the figures each; a registry that has one of the names gets none of them", async () => {
  const stats = () => ({ accepted: 7, refused: {}, pending: 0, waiting: 0, slots: [], workers: [] }) as never;
  const [one, two] = [new Registry(), new Registry()];
  const collected = [one, two].map((register) => collectMetrics({ router: { stats }, register }));
  expect(() => collectMetrics({ router: { stats }, register: one })).toThrow(/already been registered/);
  const line = async (register: Registry) =>
    register.getSingleMetricAsString("holdfast_connections_accepted_total");
  expect(await line(one)).toContain("holdfast_connections_accepted_total 7");
  collected[0]?.close();
  expect(one.getMetricsAsArray()).toEqual([]);
  expect(await line(two)).toContain("holdfast_connections_accepted_total 7");
  new Gauge({ name: "holdfast_connections_pending", help: "Ours.", registers: [one] });
  expect(() => collectMetrics({ router: { stats }, register: one })).toThrow(/already been registered/);
  expect(one.getMetricsAsArray().map(({ name }) => name)).toEqual(["holdfast_connections_pending"]);
});

test("a cluster's /metrics has every figure, in the format of Prometheus", async () => {
  const it = await Supervised.start({ options: { admin: { port: 0 } } });
  try {
    const url = await it.primary.run(async (ctx) => (await ctx.cluster()).adminUrl ?? "");
    for (;;) {
      const { text, headers } = await httpRequest(`${url}metrics`);
      expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
      const told = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]);
      // What a worker says of itself comes with its first word.
      if (!text.includes("holdfast_worker_heap_bytes{")) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      expect(told).toEqual(ofACluster.map(({ name, type }) => [name, type]));
      for (const line of text.split("\n")) {
        expect(line).toMatch(/^$|^# (HELP|TYPE) |^[a-z0-9_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+$/);
      }
      return;
    }
  } finally {
    await it.close();
  }
});

test("requests between workers are counted by their end, and no counter falls, whatever becomes of workers", async () => {
  const it = await Supervised.start({ options: { admin: { port: 0 } } });
  const url = await it.primary.run(async (ctx) => (await ctx.cluster()).adminUrl ?? "");
  const counters = async () => {
    const { text } = await httpRequest(`${url}metrics`);
    const gauges = new Set([...text.matchAll(/^# TYPE (\S+) gauge$/gm)].map(([, name]) => name));
    return [...valuesOf(text)].filter(([name]) => !gauges.has(name.replace(/\{.*/, "")));
  };
  const asker = () => it.primary.run(async (ctx) => (await ctx.cluster()).status().slots[0]?.requests);
  const until = async (results: Partial<NonNullable<Awaited<ReturnType<typeof asker>>>["results"]>) => {
    for (;;) {
      const requests = await asker();
      const isThere = Object.entries(results).every(
        ([name, count]) => requests?.results[name as keyof typeof results] === count,
      );
      if (requests && isThere) return requests;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  try {
    const ask = (name: string) =>
      it.worker(0).run((ctx, event) => ctx.io.serverSideEmitWithAck(event).then(String, String), name);
    await it.worker(1).run((ctx) => {
      ctx.io.on("well", (answer: () => void) => answer());
      process.once("uncaughtException", () => {});
      ctx.io.on("badly", () => {
        throw new Error("as it should");
      });
    });
    await ask("well");
    await ask("well");
    await ask("badly");
    const { counts, sumMs } = await until({ answered: 2, failed: 1 });
    expect(counts.reduce((sum, count) => sum + count)).toBe(3);
    expect(sumMs).toBeGreaterThan(0);
    const before = await counters();
    const value = (name: string) => before.find(([each]) => each === name)?.[1];
    const failed = (code: string) => value(`holdfast_worker_requests_failed_total{slot="0",code="${code}"}`);
    expect(failed("HOLDFAST_ERR_REQUEST_FAILED")).toBe(1);
    expect(failed("HOLDFAST_ERR_REQUEST_TIMEOUT")).toBe(0);

    await it.reload();
    const [ended] = (await it.status()).slots.slice(-1);
    process.kill(ended?.pid ?? 0, "SIGKILL");
    await it.primary.run(async (ctx) => {
      const running = await ctx.cluster();
      const isBack = ({ state, restarts }: { state: string; restarts: number }) =>
        state === "ready" && restarts === 1;
      while (!running.status().slots.some(isBack)) await new Promise((resolve) => setTimeout(resolve, 50));
      await running.scale(1);
      await running.scale(2);
    });
    await until({ answered: 2, failed: 1 });
    // Router and supervisor mean the same worker by a slot, whoever was ready first.
    const [router, status] = await it.primary.run(async (ctx) => {
      const running = await ctx.cluster();
      return [running.router.stats(), running.status()];
    });
    const numbered = ({ slot, workerId }: { slot: number; workerId: number | undefined }) => [slot, workerId];
    expect(router.slots.map(numbered)).toEqual(status.slots.map(numbered));
    const after = new Map(await counters());
    for (const [name, count] of before)
      expect([name, after.get(name)]).toEqual([name, expect.toSatisfy((now) => now >= count)]);
    expect(after.get('holdfast_worker_restarts_total{slot="1"}')).toBe(1);
  } finally {
    await it.close();
  }
});

test("labels are written so that they can be read", () => {
  const refused = { 'a"b\\c\nd': 1 };
  const router = {
    accepted: 0,
    refused,
    pending: 0,
    waiting: 0,
    slots: [],
    workers: [],
    handover: { boundsMs: [], counts: [0], sumMs: 0, count: 0 },
    moves: { underway: 0, moved: 0, polling: 0, lost: 0, closed: 0, waited: 0 },
    moveDuration: { boundsMs: [], counts: [0], sumMs: 0, count: 0 },
  };
  expect(expose({ router: router as never })).toContain('reason="a\\"b\\\\c\\nd"');
});
