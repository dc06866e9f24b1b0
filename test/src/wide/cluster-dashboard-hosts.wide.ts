/** The dashboard of one of two real hosts, in a real browser: what it knows of the other one. */
import { hostname } from "node:os";
import { findRedisServer, RedisServer } from "@holdfast/harness";
import { expect, test } from "vitest";
import { findChromium, launchChromium } from "../harness/browser.js";
import { Supervised } from "../harness/supervised.js";

const chromium = findChromium();
const hasRedis = findRedisServer() !== undefined;

test.skipIf(chromium === undefined || !hasRedis)(
  "the other host is there with its workers, cannot be seen while Redis is away, and says goodbye",
  async () => {
    const redis = await RedisServer.start();
    const browser = await launchChromium(chromium as string);
    const backplane = { url: redis.url, app: "test", timeout: 1_000 };
    const hosts: Supervised[] = [];
    try {
      const one = await Supervised.start({ backplane, options: { workers: 2, admin: { port: 0 } } });
      hosts.push(one);
      const page = await browser.newPage();
      page.setDefaultTimeout(120_000);
      await page.goto(await one.primary.run(async (ctx) => (await ctx.cluster()).adminUrl ?? ""));
      const other = page.locator(".host:not([data-self])");
      const isShown = (presence: string) =>
        page.locator(`.host[data-presence="${presence}"]:not([data-self])`).waitFor();
      await page.locator(".node").nth(1).waitFor();
      expect(await other.count()).toBe(0);

      const two = await Supervised.start({ backplane, options: { workers: 3 } });
      hosts.push(two);
      await other.locator(".told").nth(2).waitFor();
      expect(await other.locator("figcaption").textContent()).toMatch(/\S+3 workers$/);
      expect(await other.locator("strong").textContent()).toContain(hostname());
      expect(await page.locator("#rows tr").count()).toBe(2);

      redis.stop();
      await isShown("unseen");
      await page.locator("#verdict", { hasText: /^Redis: no answer; this host goes on/ }).waitFor();
      await page.locator("#todo", { hasText: "Start Redis" }).waitFor();
      expect(await other.locator("figcaption").textContent()).toContain(
        "cannot be seen from here; had 3 workers",
      );

      redis.resume();
      await isShown("there");
      await two.primary.run(async (ctx) => (await ctx.cluster()).stop());
      await page.locator("#events", { hasText: / has said goodbye\./ }).waitFor();
      await isShown("gone");
    } finally {
      await Promise.all(hosts.map((host) => host.close()));
      await browser.close();
      await redis.close();
    }
  },
  180_000,
);
