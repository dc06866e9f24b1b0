/** The admin server: who gets what, hostile input, slow viewers; and that it tells the truth of a real cluster. */

import type { LiveStatus } from "@holdfast/cluster/live-status";
import { findRedisServer, type HttpAnswer, httpRequest, RawSocket, RedisServer } from "@holdfast/harness";
import { afterEach, describe, expect, test } from "vitest";
import { METRICS } from "../../packages/cluster/dist/metrics/list.js";
import { closedAfterEach } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { OF_HOSTS } from "./harness/host-metrics.js";
import { SimulatedCluster, TOKEN } from "./harness/simulated-cluster.js";
import { Supervised, type SupervisedOptions } from "./harness/supervised.js";

const hasRedis = findRedisServer() !== undefined;
const BEARER = { authorization: `Bearer ${TOKEN}` };
const JSON_TYPE = { "content-type": "application/json" };

let cluster = new SimulatedCluster();
afterEach(async () => {
  await cluster.close();
  cluster = new SimulatedCluster();
});

const post = (url: string, headers: object, body = "{}"): Promise<HttpAnswer> =>
  httpRequest(url, { method: "POST", headers: { ...headers } }, body);

describe("what it answers", () => {
  test("the page, its files, and the figures; with headers that let nothing else in", async () => {
    const url = await cluster.open();
    const page = await httpRequest(url);
    expect(page.status).toBe(200);
    expect(page.headers["content-type"]).toBe("text/html; charset=utf-8");
    for (const file of page.text.match(/(?<=(?:href|src)=")[\w.]+\.(?:css|js|svg)/g) ?? []) {
      expect((await httpRequest(url + file)).status).toBe(200);
    }
    expect(page.headers["content-security-policy"]).toMatch(/^default-src 'none'; /);
    expect(page.headers["x-content-type-options"]).toBe("nosniff");
    expect(page.headers["access-control-allow-origin"]).toBeUndefined();
    expect(page.headers["set-cookie"]).toBeUndefined();
    // Nothing is loaded from elsewhere.
    expect(page.text).not.toMatch(/(?:href|src)="(?:https?:)?\/\//);
    const status = JSON.parse((await httpRequest(`${url}api/status`)).text) as LiveStatus;
    expect(status).toMatchObject({ format: 1, name: "chat", hosts: [{ workers: [{}, {}, {}, {}] }] });
    expect((await httpRequest(`${url}metrics`)).text).toContain("holdfast_workers");
  });

  test("health of the process, and whether it is ready, with the reasons if it is not", async () => {
    const url = await cluster.open();
    expect((await httpRequest(`${url}healthz`)).status).toBe(200);
    expect((await httpRequest(`${url}readyz`)).status).toBe(200);
    cluster.unready = ["The cluster is stopping."];
    const unready = await httpRequest(`${url}readyz`);
    expect(unready.status).toBe(503);
    expect(JSON.parse(unready.text)).toEqual({ status: "unready", reasons: ["The cluster is stopping."] });
    expect((await httpRequest(`${url}healthz`)).status).toBe(200);
  });

  test("nothing is there that is not listed", async () => {
    const url = await cluster.open();
    const paths = [
      "nothing",
      "../package.json",
      "%2e%2e/package.json",
      "constructor",
      "__proto__",
      "api/",
      "page-files.ts",
    ];
    for (const path of paths) expect((await httpRequest(url + path)).status).toBe(404);
    for (const name of ["constructor", "toString", "status", ""]) {
      expect((await post(`${url}api/${name}`, { ...BEARER, ...JSON_TYPE })).status).toBe(404);
    }
    expect((await httpRequest(`${url}api/status`, { method: "DELETE" })).status).toBe(405);
  });
});

describe("who gets what", () => {
  test("on this machine, figures are free and orders want the token", async () => {
    const url = await cluster.open();
    expect((await post(`${url}api/reload`, JSON_TYPE)).status).toBe(401);
    for (const wrong of [
      "Bearer",
      "Bearer wrong",
      `Basic ${TOKEN}`,
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(1)}`,
    ]) {
      expect((await post(`${url}api/reload`, { ...JSON_TYPE, authorization: wrong })).status).toBe(401);
    }
    expect(cluster.orders).toEqual([]);
    expect((await post(`${url}api/reload`, { ...JSON_TYPE, ...BEARER })).status).toBe(202);
    expect(cluster.orders).toEqual([["reload", {}]]);
    expect((await httpRequest(`${url}api/reload`, { headers: BEARER })).status).toBe(404);
  });

  test("elsewhere, all but the page and health wants the token", async () => {
    const url = (await cluster.open({ host: "0.0.0.0" })).replace("0.0.0.0", "127.0.0.1");
    for (const path of ["api/status", "api/events", "metrics", "nothing"]) {
      const answer = await httpRequest(url + path);
      expect([path, answer.status, answer.headers["www-authenticate"]]).toEqual([path, 401, "Bearer"]);
    }
    for (const path of ["", "healthz", "readyz"]) expect((await httpRequest(url + path)).status).toBe(200);
    expect((await httpRequest(`${url}api/status`, { headers: BEARER })).status).toBe(200);
  });

  test("without a token no order is taken, and none is offered", async () => {
    const url = await cluster.open({ token: undefined });
    const answer = await post(`${url}api/reload`, { ...JSON_TYPE, ...BEARER });
    expect([answer.status, cluster.orders]).toEqual([403, []]);
    expect(JSON.parse((await httpRequest(`${url}api/status`)).text).actions).toEqual([]);
  });

  test("a name of somebody else's that leads here gets nothing, and another site's page cannot order", async () => {
    const url = await cluster.open();
    expect((await httpRequest(`${url}api/status`, { headers: { host: "evil.example" } })).status).toBe(421);
    expect((await httpRequest(`${url}api/status`, { headers: { host: "localhost:9090" } })).status).toBe(200);
    // What a form or a simple request of another page can send.
    const form = { ...BEARER, "content-type": "text/plain", origin: "https://evil.example" };
    expect((await post(`${url}api/reload`, form)).status).toBe(415);
    const preflight = await httpRequest(`${url}api/reload`, {
      method: "OPTIONS",
      headers: { origin: "https://evil.example", "access-control-request-method": "POST" },
    });
    expect([preflight.status, preflight.headers["access-control-allow-origin"]]).toEqual([405, undefined]);
  });
});

describe("hostile input", () => {
  test.each([
    ["no JSON", "{", 400],
    ["no object", "[1]", 400],
    ["null", "null", 400],
    ["more than an order has", `{"x":"${"y".repeat(5_000)}"}`, 413],
  ])("a body with %s is refused, and the server goes on", async (_, body, status) => {
    const url = await cluster.open();
    expect((await post(`${url}api/scale`, { ...JSON_TYPE, ...BEARER }, body)).status).toBe(status);
    expect(cluster.orders).toEqual([]);
    expect((await httpRequest(`${url}healthz`)).status).toBe(200);
  });

  test.each([
    "\0\0\0\0\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    `GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    "POST /api/scale HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET /api/status HTTP/1.1\r\nHost: a\r\nHost: b\r\nX: \x01\r\n\r\n",
  ])("bytes that are no request close the connection, and nothing else: %j", async (bytes) => {
    const url = await cluster.open();
    const socket = new RawSocket(Number(new URL(url).port));
    socket.write(bytes);
    await socket.whole();
    expect((await httpRequest(`${url}healthz`)).status).toBe(200);
  });

  test("a viewer that does not read gets no backlog, and others are served", async () => {
    cluster.simulation = { hosts: 4, workersPerHost: 64 };
    const url = await cluster.open();
    const port = Number(new URL(url).port);
    const slow = await RawSocket.open(port);
    slow.socket.pause();
    slow.write("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const reader = new RawSocket(port);
    reader.write("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const text = await reader.until((got) => got.split("event: status").length > 4);
    // The history goes along when it has changed only.
    expect(text.split("event: history").length).toBeLessThan(5);
    reader.close();
    slow.close();
    expect((await httpRequest(`${url}healthz`)).status).toBe(200);
  });

  test("streams that wait behind another one on a connection are refused, and keep nobody else out", async () => {
    const url = await cluster.open();
    const greedy = new RawSocket(Number(new URL(url).port));
    greedy.write("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(65));
    await greedy.until("event: status");
    const reader = new RawSocket(Number(new URL(url).port));
    reader.write("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await reader.until("event: status");
    greedy.close();
    reader.close();
  });

  test("HEAD of the stream is answered, and the connection goes on", async () => {
    const url = await cluster.open();
    const socket = new RawSocket(Number(new URL(url).port));
    const request = (line: string) => socket.write(`${line} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    request("HEAD /api/events");
    await socket.until("text/event-stream");
    request("GET /healthz");
    expect(await socket.until('"ok"')).not.toContain("event: status");
    socket.close();
  });

  test("an order that is given up on the way is no failure of the primary, and is not carried out", async () => {
    const failures: Error[] = [];
    const url = await cluster.open({ onError: (error) => failures.push(error) });
    const socket = await RawSocket.open(Number(new URL(url).port));
    const head = [
      `Authorization: ${BEARER.authorization}`,
      "Content-Type: application/json",
      "Content-Length: 9",
    ];
    socket.write(`POST /api/reload HTTP/1.1\r\nHost: localhost\r\n${head.join("\r\n")}\r\n\r\n{`);
    // What comes after has been read when this is answered.
    expect((await httpRequest(`${url}healthz`)).status).toBe(200);
    socket.close();
    // Its end has been seen before those who came later were answered.
    for (let i = 0; i < 3; i++) expect((await httpRequest(`${url}healthz`)).status).toBe(200);
    expect([failures, cluster.orders]).toEqual([[], []]);
  });

  test("too many viewers are told so", async () => {
    const url = await cluster.open();
    const viewers = Array.from({ length: 64 }, () => {
      const viewer = new RawSocket(Number(new URL(url).port));
      viewer.write("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
      return viewer;
    });
    await Promise.all(viewers.map((viewer) => viewer.until("event: status")));
    const refused = await httpRequest(`${url}api/events`);
    expect([refused.status, refused.headers["retry-after"]]).toEqual([503, "5"]);
    for (const viewer of viewers) viewer.close();
  });
});

/** Whole clusters start and stop in these. */
const SLOW_MS = 180_000;

describe("of a real cluster", () => {
  const supervised = closedAfterEach({
    open: [] as Supervised[],
    async close() {
      for (const each of this.open.splice(0)) await each.close();
    },
  });
  const clients = closedAfterEach(new Clients());

  async function start({
    options,
    ...more
  }: SupervisedOptions = {}): Promise<{ it: Supervised; url: string }> {
    const it = await Supervised.start({ ...more, options: { admin: { port: 0, token: TOKEN }, ...options } });
    supervised.open.push(it);
    const url = await it.primary.run(async (ctx) => (await ctx.cluster()).adminUrl ?? "");
    return { it, url };
  }

  const statusAt = async (url: string): Promise<LiveStatus> =>
    JSON.parse((await httpRequest(`${url}api/status`)).text) as LiveStatus;

  /** Looks again and again until the status is as wanted; the test's own deadline ends it. */
  async function until(url: string, isSo: (status: LiveStatus) => boolean): Promise<LiveStatus> {
    for (;;) {
      const status = await statusAt(url);
      if (isSo(status)) return status;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  test(
    "figures are those of stats(), and a killed worker is seen with the reason of its end",
    async () => {
      const { it, url } = await start();
      await Promise.all([
        clients.connect(it.url),
        clients.connect(it.url),
        clients.connect(it.url, { transports: ["polling"] }),
      ]);
      const status = await until(url, ({ totals }) => totals.clients === 3);
      expect(status).toMatchObject({ totals: { workers: 2, workersReady: 2 } });
      // On a busy machine workers may be slow.
      expect(["good", "warning"]).toContain(status.health);
      const { slots } = await it.primary.run(async (ctx) => (await ctx.cluster()).router.stats());
      const workers = status.hosts[0]?.workers ?? [];
      for (const { workerId, transports } of workers) {
        expect(slots.find((slot) => slot.workerId === workerId)?.sessions.open).toEqual(transports);
      }
      expect(workers.map(({ pid }) => pid).sort((a, b) => a - b)).toEqual(it.pids);
      await until(url, ({ hosts }) => hosts[0]?.workers.every(({ rssBytes }) => rssBytes !== null) === true);

      await it.worker(0).kill();
      const after = await until(url, ({ events }) =>
        events.some(({ kind, health }) => kind === "worker" && health === "bad"),
      );
      const [end] = after.events.filter(({ health }) => health === "bad");
      expect(end?.text).toMatch(/^Worker \d was killed by SIGKILL after /);
      await until(url, ({ totals }) => totals.workersReady === 2);
    },
    SLOW_MS,
  );

  test(
    "a clock that is set back by an hour stops no chart",
    async () => {
      const { it, url } = await start({ options: { admin: { port: 0, token: TOKEN } } });
      const { endsAt } = (await until(url, ({ history }) => history.endsAt > 0)).history;
      await it.primary.run(() => {
        const now = Date.now;
        Date.now = () => now() - 3_600_000;
      });
      const { history, at } = await until(url, (status) => status.history.endsAt !== endsAt);
      expect(history.endsAt).toBeLessThan(endsAt);
      expect(at - history.endsAt).toBeGreaterThanOrEqual(0);
      expect(history.series.clients.filter((value) => value !== null).length).toBeGreaterThan(1);
    },
    SLOW_MS,
  );

  test(
    "a worker that stands still is named",
    async () => {
      const { it, url } = await start();
      const { workerId } = it.worker(0);
      const workerIn = ({ hosts }: LiveStatus) =>
        hosts[0]?.workers.find((each) => each.workerId === workerId);
      await it.worker(0).stop();
      const status = await until(url, (each) => workerIn(each)?.state === "stalled");
      const told =
        /^Its event loop has stood still for \d+ s\.$|^It takes no connections; others get them\.$/;
      expect(workerIn(status)).toMatchObject({
        health: "bad",
        summary: expect.stringMatching(told),
        advice: expect.stringContaining(`process ${it.worker(0).pid}`),
      });
      const stood = await until(url, ({ events }) =>
        events.some(({ text }) => text.includes("stands still")),
      );
      expect(stood.since).toEqual(expect.any(Number));
      // On a busy machine the other one may be slow, too.
      expect(status.summary).toMatch(/^Worker \d: |workers are in trouble|^No worker takes connections/);
      expect(status.health).toBe("bad");
      await it.worker(0).resume();
      await until(url, ({ events }) => events.some(({ text }) => / goes on\.$/.test(text)));
      await until(url, (each) => workerIn(each)?.state === "ready");
    },
    SLOW_MS,
  );

  test(
    "orders are carried out: restart, scale, reload",
    async () => {
      const { it, url } = await start();
      const order = (name: string, parameters: object) =>
        post(`${url}api/${name}`, { ...JSON_TYPE, ...BEARER }, JSON.stringify(parameters));
      // What is shown is up to a second old.
      const ready = await until(url, ({ totals }) => totals.workersReady === 2);
      const [first] = ready.hosts[0]?.workers ?? [];
      expect((await order("restart", { slot: 0, workerId: 999 })).status).toBe(409);
      expect((await order("restart", { slot: "x" })).status).toBe(400);
      expect((await order("scale", { workers: 0 })).status).toBe(400);
      expect((await order("restart", { slot: 0, workerId: first?.workerId })).status).toBe(202);
      await until(url, ({ hosts, reload }) => hosts[0]?.workers[0]?.pid !== first?.pid && reload === null);
      expect((await order("scale", { workers: 3 })).status).toBe(202);
      await until(url, ({ totals }) => totals.workersReady === 3);
      const before = it.pids;
      expect((await order("reload", {})).status).toBe(202);
      const done = await until(url, ({ events }) =>
        events.some(({ text }) => text.startsWith("3 workers were replaced")),
      );
      expect(done.events.map(({ text }) => text)).toContain("Ordered in the dashboard: a reload.");
      await expect.poll(() => it.pids.filter((pid) => before.includes(pid))).toEqual([]);
    },
    SLOW_MS,
  );

  test.skipIf(!hasRedis)(
    "it shows whether Redis joins the hosts, and is not ready while that does not answer",
    async () => {
      const redis = await RedisServer.start();
      try {
        const { it, url } = await start({ backplane: { url: redis.url, app: "test", timeout: 500 } });
        const joined = await until(url, ({ backplane }) => backplane?.health === "good");
        expect(joined.backplane).toMatchObject({
          kind: "Redis",
          summary: expect.stringContaining("only host"),
        });
        // The router knows the hosts from the hub, and listens for them.
        const hosts = await it.primary.run(async (ctx) => (await ctx.cluster()).router.stats().hosts);
        expect(hosts).toMatchObject({ address: expect.stringMatching(/:\d+$/), others: [] });
        redis.stop();
        const away = await until(url, ({ backplane }) => backplane?.health === "bad");
        expect(away).toMatchObject({ health: "bad", summary: expect.stringMatching(/^Redis: no answer/) });
        const unready = await httpRequest(`${url}readyz`);
        expect([unready.status, unready.text]).toEqual([
          503,
          expect.stringContaining("Redis does not answer"),
        ]);
        redis.resume();
        const back = await until(url, ({ backplane }) => backplane?.health === "good");
        const told = back.events.filter(({ kind }) => kind === "backplane").map(({ health }) => health);
        expect(told).toEqual(["good", "bad"]);
        expect(away.events.find(({ kind }) => kind === "backplane")?.detail).toMatch(/^Redis /);
        expect(away).toMatchObject({
          since: expect.any(Number),
          advice: expect.stringContaining("Start Redis"),
        });
        const { text } = await httpRequest(`${url}metrics`);
        for (const { name } of METRICS.filter((metric) => OF_HOSTS.test(metric.name))) {
          expect(text).toMatch(new RegExp(`^${name} `, "m"));
        }
        expect(text).toMatch(/^holdfast_hosts 1$/m);
        expect(text).toMatch(/^holdfast_backplane_up 1$/m);
        await it.close();
      } finally {
        await redis.close();
      }
    },
    SLOW_MS,
  );

  test(
    "it is not ready while it stops, and is closed with the cluster",
    async () => {
      const { it, url } = await start();
      expect((await httpRequest(`${url}readyz`)).status).toBe(200);
      await clients.connect(it.url);
      const codes = await it.primary.run(async (ctx, at) => {
        const { request } = await ctx.import("node:http");
        const ask = () =>
          new Promise<number>((resolve) => {
            request(at, (response) => {
              response.resume();
              resolve(response.statusCode ?? 0);
            })
              .on("error", () => resolve(0))
              .end();
          });
        const handle = await ctx.cluster();
        const asked = new Promise<number>((resolve) =>
          handle.once("stopping", () => void ask().then(resolve)),
        );
        await handle.stop();
        return [await asked, await ask()];
      }, `${url}readyz`);
      expect(codes).toEqual([503, 0]);
    },
    SLOW_MS,
  );
});

test("an option of it that there is not is named with where it was looked for", async () => {
  const it = await Supervised.launch({ options: { admin: { foo: 1 } as object } });
  try {
    const message = await it.primary.run((ctx) => ctx.cluster().catch((error) => error.message));
    expect(message).toBe('startCluster({ admin }) has no option "foo"; it knows port, host, token.');
  } finally {
    await it.close();
  }
});
