/** What comes while a cluster starts: orders, its end, and what mends it. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClusterStatus, ScaleResult } from "@holdfast/cluster";
import { freePort, Program } from "@holdfast/harness";
import { afterEach, describe, expect, test } from "vitest";
import { startsSupervised } from "./harness/after-each.js";
import { APP, HOLDFAST, type Home, type Supervised } from "./harness/supervised.js";

const { launch, home } = startsSupervised();
const programs: Program[] = [];

afterEach(async () => {
  for (const program of programs.splice(0)) await program.close();
});

/** A primary without a cluster: it could not start. */
async function primaryAlone(own: Home): Promise<Supervised> {
  const cluster = await launch({ home: own, options: { path: join(own.directory, "no", "sock") } });
  await expect(cluster.primary.run((ctx) => ctx.cluster().then(() => {}))).rejects.toThrow("no directory");
  return cluster;
}

/**
 * A cluster of two workers gets an order while the host of its admin server, or its own, is being looked up, and then
 * starts, or not.
 */
async function orderedAmid(
  cluster: Supervised,
  place: "admin" | "port",
  order: { readonly command: string; readonly workers?: number },
) {
  const setting = {
    // The first look-up is that of the port, which is tried out before anything else.
    lookUp: place === "admin" ? 2 : 3,
    order,
    admin: await freePort(),
    options: { worker: APP, port: await freePort(), workers: 2, control: join(cluster.home.directory, "c") },
  };
  const outcome = await cluster.primary.run(async (ctx, { lookUp, order, admin, options }) => {
    const { default: dns } = (await ctx.import("node:dns")) as {
      default: { lookup(...args: unknown[]): void };
    };
    const { connect } = await ctx.import("node:net");
    const { lookup } = dns;
    const ask = (request: object): Promise<{ result: unknown }> =>
      new Promise((resolve, reject) => {
        const socket = connect(options.control).setEncoding("utf8").on("error", reject);
        socket.on("data", (text: string) => resolve(JSON.parse(text)));
        socket.write(`${JSON.stringify({ version: 1, ...request })}\n`);
      });
    let lookUps = 0;
    let answered: Promise<{ result: unknown }> | undefined;
    dns.lookup = async (...args: unknown[]) => {
      if (++lookUps === lookUp) {
        answered = ask(order);
        // Once this is answered, the order has been heard.
        await ask({ command: "status" });
      }
      lookup(...args);
    };
    const host = "localhost";
    const start = { ...options, host, admin: { host, port: admin }, signals: false, log: false } as const;
    const started = await ctx.startAgain(start).catch((error) => error);
    const answer = (await answered)?.result;
    const { workers } = await ctx.import("node:cluster");
    const left = Object.keys(workers ?? {}).length;
    const slots = "status" in started ? started.status().slots.length : 0;
    return { code: started.code as string | undefined, answer, left, slots };
  }, setting);
  return { ...outcome, ports: [setting.admin, setting.options.port] };
}

describe("an order while", () => {
  test.each([
    ["the admin server opens", "admin"],
    ["its port opens", "port"],
  ] as const)("%s: stop() ends the start, and leaves nothing open", async (_, place) => {
    const cluster = await primaryAlone(home());
    const { code, answer, left, ports } = await orderedAmid(cluster, place, { command: "stop" });
    expect({ code, answer, left }).toEqual({ code: "HOLDFAST_ERR_CLOSED", answer: { killed: 0 }, left: 0 });
    for (const port of ports)
      await expect(fetch(`http://localhost:${port}/`)).rejects.toThrow("fetch failed");
  });

  test("the admin server opens: scale() begins with the workers that were to be there", async () => {
    const cluster = await primaryAlone(home());
    const { answer, slots } = await orderedAmid(cluster, "admin", { command: "scale", workers: 3 });
    expect(answer as ScaleResult).toMatchObject({ before: 2, after: 3 });
    expect(slots).toBe(3);
  });
});

describe("a start whose worker waits to be started again", () => {
  const LONG = { restartDelay: 600_000, maxRestartDelay: 600_000 };

  test("is over when a reload has put another one there", async () => {
    const own = home();
    const cluster = await launch({ home: own, how: { exits: 7 }, options: { ...LONG, workers: 1 } });
    await cluster.waitForOutput("ended: exit code 7");
    own.start({});
    process.kill(cluster.primary.pid, "SIGHUP");
    await cluster.untilStarted();
    expect(await cluster.status()).toMatchObject({
      state: "running",
      slots: [{ state: "ready", restarts: 0 }],
    });
  });

  test("is over when scale() has taken its place away", async () => {
    const own = home();
    const worker = join(own.directory, "app.mjs");
    writeFileSync(
      worker,
      `if (process.env.HOLDFAST_SLOT === "1") process.exit(7);\nawait import(${JSON.stringify(APP)});\n`,
    );
    const cluster = await launch({ home: own, options: { ...LONG, worker } });
    await cluster.waitForOutput("ended: exit code 7");
    expect((await own.holdfast("scale", "1")).stdout).toContain("Scaled from 2 to 1 workers");
    await cluster.untilStarted();
    expect(await cluster.status()).toMatchObject({ state: "running", slots: [{ state: "ready" }] });
  });
});

describe("with --watch, a worker that stands still", () => {
  const BUSY = 'console.error("busy");\nfor (;;);\n';
  // As of an application that ends in its own way.
  const STARTING = `process.on("SIGTERM", () => {});\n${BUSY}`;
  const RUNNING = `import ${JSON.stringify(APP)};\nprocess.on("SIGUSR2", () => {\n${BUSY}});\n`;

  /** `holdfast run --watch`, and its worker, which is busy for good. */
  async function watching(text: string, ...flags: string[]) {
    const own = home();
    const app = join(own.directory, "app.mjs");
    writeFileSync(app, text);
    const args = [HOLDFAST, "run", app, "-w", "1", "-p", "0", "-n", "w", "--watch", ...flags];
    const program = Program.node(args, { env: own.env, cwd: own.directory });
    programs.push(program);
    if (text === RUNNING) {
      await program.line(/watching for changes$/);
      process.kill((await statusOf(own))?.slots[0]?.pid as number, "SIGUSR2");
    }
    await program.writes("busy");
    return { own, program };
  }

  async function statusOf(own: Home): Promise<ClusterStatus | undefined> {
    const { code, stdout } = await own.holdfast("status", "--json");
    return code === 0 ? JSON.parse(stdout)[0] : undefined;
  }

  test.each([
    ["while it runs", RUNNING],
    ["while it starts", STARTING],
  ])("%s is killed after stopTimeout, code 3", async (_, text) => {
    const { program } = await watching(text, "--stop-timeout", "100");
    program.signal("SIGTERM");
    // All that it has started is gone then.
    expect(await program.end()).toEqual({ code: 3, signal: null });
  });

  test.each([
    ["while it runs", RUNNING],
    ["while it starts", STARTING],
  ])("%s is killed at once at a second signal, code 3", async (_, text) => {
    const { own, program } = await watching(text, "--stop-timeout", "600000");
    program.signal("SIGINT");
    while ((await statusOf(own))?.state !== "stopping");
    // The same signal within half a second is the same Ctrl+C.
    await new Promise((resolve) => setTimeout(resolve, 700));
    program.signal("SIGINT");
    expect(await program.end()).toEqual({ code: 3, signal: null });
  });
});
