/** The dashboard in a real browser, over a simulated cluster: what it shows, for whom, and that it comes back. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { HostStatus, TimelineEvent } from "@holdfast/cluster/live-status";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { findChromium, launchChromium } from "../harness/browser.js";
import { SimulatedCluster, TOKEN } from "../harness/simulated-cluster.js";
import type { Simulation } from "../harness/simulated-status.js";

const chromium = findChromium();
const DESKTOP = { viewport: { width: 1360, height: 900 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const EVENT: TimelineEvent = {
  id: 1,
  at: Date.UTC(2026, 10, 26, 18, 12, 40),
  kind: "cluster",
  health: "good",
  text: "",
  detail: null,
  times: 1,
};

describe.skipIf(chromium === undefined)("the dashboard in Chromium", () => {
  let browser: Browser;
  let cluster: SimulatedCluster | undefined;
  const pages: Page[] = [];
  let complaints: string[] = [];

  beforeAll(async () => {
    browser = await launchChromium(chromium as string);
  });

  afterAll(async () => {
    await browser?.close();
  });

  afterEach(async () => {
    for (const page of pages.splice(0)) await page.context().close();
    await cluster?.close();
    expect(complaints).toEqual([]);
    complaints = [];
  });

  async function open(simulation: Simulation, options: BrowserContextOptions = DESKTOP): Promise<Page> {
    cluster = new SimulatedCluster(simulation);
    return visit(await cluster.open(), options);
  }

  async function visit(url: string, options: BrowserContextOptions = DESKTOP): Promise<Page> {
    // What is injected to look for faults is not the page's.
    const context = await browser.newContext({ ...options, bypassCSP: true });
    const page = await context.newPage();
    pages.push(page);
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(url);
    return page;
  }

  /** What axe finds wrong that matters. */
  async function faults(page: Page): Promise<string[]> {
    await page.evaluate(AXE);
    return page.evaluate(async () => {
      const { axe } = globalThis as unknown as {
        axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> };
      };
      const { violations } = await axe.run();
      return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    });
  }

  const text = (page: Page, selector: string) => page.locator(selector).textContent();

  test("it shows the figures of the status", async () => {
    const page = await open({ workersPerHost: 4 });
    await page.locator(".node").nth(3).waitFor();
    expect(await text(page, "#verdict")).toBe("Everything is well.");
    expect(await text(page, "#facts")).toMatch(/^4 of 4 workers ready · \d+ clients · /);
    expect(await page.title()).toBe("chat · Holdfast");
    const shown = (cluster as SimulatedCluster).status();
    const rows = await page.locator("#rows tr").allInnerTexts();
    expect(rows).toHaveLength(4);
    expect(rows[0]).toContain(`${Math.round((shown.hosts[0]?.workers[0]?.rssBytes ?? 0) / 1e6)} MB`);
    expect(await page.locator("#events li").count()).toBe(shown.events.length);
  });

  test.each<[Simulation, string, string]>([
    [{ incident: "blocked-worker" }, "Worker 2: its event loop has stood still for 14 s.", "Restart it"],
    [
      { incident: "crash-loop" },
      'Worker 1: it has crashed 6 times in a row, at last with "Error: connect ECONNREFUSED 10.0.3.12:5432", and is started ' +
        "again soon.",
      "mend what fails, then reload",
    ],
    [{ incident: "redis-away", hosts: 2 }, "Redis: no answer; this host goes on by itself.", "Start Redis"],
    [{ incident: "silent-host", hosts: 3 }, "Host web-2 has fallen silent.", "Look at that machine"],
  ])(
    "whoever sees only the page reads what is wrong, since when, and what to do: %o",
    async (given, what, todo) => {
      const page = await open(given);
      await page.locator("#advice").waitFor();
      expect(await text(page, "#verdict")).toBe(what);
      expect(await text(page, "#since")).toMatch(/^Since \d\d:\d\d:\d\d\.$/);
      expect(await text(page, "#todo")).toContain(todo);
      expect(await page.title()).toBe("! chat · Holdfast");
      const culprit = page.locator("#culprit");
      if (await culprit.isVisible()) {
        const [name = ""] = what.match(/Worker \d/) ?? [];
        await culprit.click();
        expect(await text(page, "#sheet-title")).toBe(name);
      }
    },
  );

  test("of other hosts it shows who is there, and no figure that is not known", async () => {
    const page = await open({ hosts: 3, workersPerHost: 4, incident: "silent-host" });
    const others = page.locator(".host:not([data-self])");
    await others.nth(1).waitFor();
    expect(await others.locator("figcaption").allTextContents()).toEqual([
      "web-2silent; had 4 workers",
      "web-34 workers",
    ]);
    expect(await others.locator(".told").count()).toBe(8);
    expect(await others.locator(".slot, .clients").allTextContents()).toEqual(Array(16).fill(""));
    expect(await page.locator("#rows tr").count()).toBe(4);
    expect(await text(page, "#facts")).toMatch(
      /^On this host 4 of 4 workers ready · .* · with 1 other host$/,
    );
    expect(await faults(page)).toEqual([]);
  });

  test.each(["light", "dark"] as const)("axe finds nothing serious, %s", async (colorScheme) => {
    const page = await open({ workersPerHost: 8, incident: "blocked-worker" }, { ...DESKTOP, colorScheme });
    await page.locator(".node").first().waitFor();
    expect(await faults(page)).toEqual([]);
    await page.locator("#rows .link").first().click();
    await page.locator("#sheet[open]").waitFor();
    expect(await faults(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Scale …" }).click();
    expect(await faults(page)).toEqual([]);
  });

  test("axe finds nothing serious on a phone, with 64 workers on 4 hosts while Redis is away", async () => {
    const page = await open({ hosts: 4, workersPerHost: 16, incident: "redis-away" }, PHONE);
    await page.locator(".node").nth(63).waitFor();
    expect(await faults(page)).toEqual([]);
    const { scroll, view } = await page.evaluate(() => ({
      scroll: document.documentElement.scrollWidth,
      view: document.documentElement.clientWidth,
    }));
    expect(scroll).toBe(view);
  });

  test.each([
    [{ hosts: 4, workersPerHost: 16 }, DESKTOP],
    [{ hosts: 4, workersPerHost: 16 }, PHONE],
    [{ hosts: 1, workersPerHost: 64 }, DESKTOP],
    [{ hosts: 2, workersPerHost: 1 }, DESKTOP],
    [{ hosts: 1, workersPerHost: 12 }, PHONE],
  ] as const)("no worker lies on another one, or outside of the picture: %o", async (simulation, options) => {
    const page = await open(simulation, options);
    const count = simulation.hosts * simulation.workersPerHost;
    await page
      .locator(".node")
      .nth(count - 1)
      .waitFor();
    const { spots, frame } = await page.evaluate(() => ({
      spots: [...document.querySelectorAll(".node .body")].map((body) => {
        const { x, y, width } = body.getBoundingClientRect();
        // The circle on its way to its size is not the one that counts.
        return { x: x + width / 2, y: y + width / 2, radius: Number(body.getAttribute("r")) };
      }),
      frame: document.querySelector("#hosts")?.getBoundingClientRect() as DOMRect,
    }));
    expect(spots).toHaveLength(count);
    for (const [i, a] of spots.entries()) {
      expect(a.x - a.radius).toBeGreaterThanOrEqual(frame.left);
      expect(a.x + a.radius).toBeLessThanOrEqual(frame.right);
      for (const b of spots.slice(i + 1)) {
        expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThan(a.radius + b.radius);
      }
    }
  });

  test("with the keyboard alone, one goes from worker to worker, opens one, and comes back", async () => {
    const page = await open({ workersPerHost: 4 });
    await page.locator(".node").nth(3).waitFor();
    await page.locator('.node[tabindex="0"]').focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await page.locator("#sheet[open]").waitFor();
    expect(await text(page, "#sheet-title")).toBe("Worker 2");
    expect(await text(page, "#sheet")).toMatch(/Heap\s*\d+ MB of/);
    await page.keyboard.press("Escape");
    await page.locator("#sheet:not([open])").waitFor({ state: "attached" });
    expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toMatch(
      /^Worker 2,/,
    );
  });

  test.each([
    [1, "1 min", 1],
    [60, "5 min", 60],
    [180, "15 min", 180],
  ])("after %i values the charts are of the last %s", async (points, span, drawn) => {
    const page = await open({ workersPerHost: 2, points });
    await page.locator(".node").nth(1).waitFor();
    const chart = page.locator(".chart").first();
    expect(await chart.locator(".spoken").textContent()).toContain(`In the last ${span} between`);
    const path = (await chart.locator("path.stroke").getAttribute("d")) ?? "";
    const xs = [...path.matchAll(/[ML]([\d.]+) /g)].map(([, x]) => Number(x));
    expect(xs).toHaveLength(drawn);
    expect(xs.at(-1)).toBe(300);
    // From edge to edge, as soon as there is enough.
    if (drawn > 1) expect(xs[0]).toBe(0);
    else expect(path).toMatch(/h-\d+$/);
  });

  test("an order says what it will do, wants the token, and tells what becomes of it", async () => {
    const page = await open({ workersPerHost: 4 });
    await page.getByRole("button", { name: "Scale …" }).click();
    await page.getByRole("spinbutton", { name: "Workers" }).fill("6");
    expect(await text(page, "#order .effect")).toBe(
      "2 workers will be started. New clients go there; those that are here stay where they are.",
    );
    await page.getByRole("button", { name: "Scale", exact: true }).click();
    expect(await page.getByRole("alert").textContent()).toMatch(/wants a token/);
    expect(cluster?.orders).toEqual([]);
    await page.getByLabel("Token of the admin server").fill("wrong");
    await page.getByRole("button", { name: "Scale", exact: true }).click();
    await page.getByText("This is not the token.").waitFor();
    await page.getByLabel("Token of the admin server").fill(TOKEN);
    await page.getByRole("button", { name: "Scale", exact: true }).click();
    await page.getByText("Two workers are started.").waitFor();
    expect(cluster?.orders).toEqual([["scale", { workers: 6 }]]);

    // The token is kept for this tab.
    await page.locator(".node").nth(1).click();
    await page.getByRole("button", { name: "Restart this worker …" }).click();
    await page.getByRole("button", { name: "Restart", exact: true }).click();
    await page.getByText("A new worker takes its place.").waitFor();
    expect(cluster?.orders[1]).toEqual(["restart", { slot: 1, workerId: 2 }]);
  });

  test("a reload's bar runs, and what can be ordered goes while it does", async () => {
    const page = await open({ workersPerHost: 4, incident: "reload" });
    await page.locator("#reload-bar").waitFor();
    const value = () => page.locator("#reload-bar").evaluate((bar) => (bar as HTMLProgressElement).value);
    const first = await value();
    await page.waitForFunction(
      (before) => (document.querySelector<HTMLProgressElement>("#reload-bar")?.value ?? 0) > before,
      first,
    );
    expect(await page.getByRole("button", { name: "Reloading …" }).isDisabled()).toBe(true);
    (cluster as SimulatedCluster).simulation = { workersPerHost: 4 };
    await page.locator("#reload").waitFor({ state: "hidden" });
    await page.getByRole("button", { name: "Reload …" }).waitFor();
  });

  test("when the primary is away the page says so, and goes on by itself when it is back", async () => {
    const page = await open({ workersPerHost: 4 });
    await page.locator(".node").first().waitFor();
    const { port } = new URL(page.url());
    await cluster?.close();
    await page.locator("#away").waitFor();
    expect(await text(page, "#away")).toMatch(
      /^The cluster does not answer\. What is below is from \d\d:\d\d:\d\d\./,
    );
    (cluster as SimulatedCluster).simulation = { workersPerHost: 5, name: "again" };
    await cluster?.open({ port: Number(port) });
    await page.locator("#away").waitFor({ state: "hidden" });
    await page.locator(".node").nth(4).waitFor();
    expect(await text(page, "#name")).toBe("again");
  });

  test("elsewhere than on this machine, the page asks for the token first, and shows nothing without it", async () => {
    cluster = new SimulatedCluster({ workersPerHost: 3 });
    const url = await cluster.open({ host: "0.0.0.0" });
    const page = await visit(url.replace("0.0.0.0", "127.0.0.1"));
    await page.getByRole("heading", { name: "This cluster wants a token" }).waitFor();
    expect(await page.locator(".node").count()).toBe(0);
    expect(await faults(page)).toEqual([]);
    await page.getByLabel("Token", { exact: true }).fill("wrong");
    await page.getByRole("button", { name: "Look" }).click();
    await page.getByText("This is not the token.").waitFor();
    await page.getByLabel("Token", { exact: true }).fill(TOKEN);
    await page.getByRole("button", { name: "Look" }).click();
    await page.locator(".node").nth(2).waitFor();
  });

  test("what happened before the primary was restarted does not stick to what happened since", async () => {
    cluster = new SimulatedCluster({ workersPerHost: 2 });
    cluster.change = (status) => ({
      ...status,
      events: [{ ...EVENT, kind: "worker", text: "Worker 1 has crashed.", detail: "Error: before" }],
    });
    const page = await visit(await cluster.open());
    await page.locator("#events summary", { hasText: "its last words" }).waitFor();
    const { port } = new URL(page.url());
    await cluster.close();
    const startedAt = EVENT.at + 60_000;
    cluster.change = (status) => ({
      ...status,
      startedAt,
      events: [{ ...EVENT, text: "Worker 0 is ready." }],
    });
    await cluster.open({ port: Number(port) });
    await page.locator("#events", { hasText: "Worker 0 is ready." }).waitFor();
    expect(await page.locator("#events details").count()).toBe(0);
    expect(await page.locator("#events li").getAttribute("data-kind")).toBe("cluster");
  });

  test.each([
    ["HTML", '<img src=x onerror="window.hit=1">'],
    ["ends of lines, as some see them", "a\u2028b\u2029c\u0085d\r\n\r\ne\0"],
    ["an event of its own", "x\n\nevent: status\ndata: {}\n\n"],
    ["half an emoji, and what turns text around", "\ud83d \u202eevil \ufeff"],
  ])("whatever the cluster says is shown as text, and the page goes on: %s", async (_what, hostile) => {
    cluster = new SimulatedCluster({ workersPerHost: 2, hosts: 2, name: hostile });
    cluster.change = (status) => {
      const [self, other] = status.hosts as [HostStatus, HostStatus];
      const topEndings = [{ reason: hostile, count: 3 }];
      const workers = self.workers.map((worker) => ({
        ...worker,
        summary: hostile,
        advice: hostile,
        topEndings,
      }));
      const others = { ...other, id: hostile, name: hostile, summary: hostile };
      return {
        ...status,
        ...{ summary: hostile, advice: hostile, since: EVENT.at, slot: 0 },
        versions: { holdfast: hostile, node: hostile },
        hosts: [{ ...self, name: hostile, workers }, others],
        events: [{ ...EVENT, text: hostile, detail: hostile }],
      };
    };
    const page = await visit(await cluster.open());
    await page.locator(".node").first().waitFor();
    await page.locator("#rows .link").first().click();
    await page.locator(".reasons li").first().waitFor();
    const { tick } = cluster;
    await expect.poll(() => (cluster as SimulatedCluster).tick).toBeGreaterThan(tick);
    expect(await page.locator("#live").textContent()).toBe("live");
    const shown = hostile.replace("\ud83d", "\ufffd").replaceAll(/[\r\0]/g, "");
    const said = (await text(page, "#events .text"))?.replaceAll(/[\r\0]/g, "");
    expect(said?.toWellFormed()).toBe(shown);
    expect(await page.evaluate(() => [document.querySelectorAll("img").length, "hit" in window])).toEqual([
      0,
      false,
    ]);
  });
});
