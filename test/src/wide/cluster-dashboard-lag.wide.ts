/** The lag of the backplane, of a real cluster over a real Redis, in a real browser: its figures are those of stats(). */
import type { History, LiveStatus } from "@holdfast/cluster/live-status";
import { findRedisServer, httpRequest, RedisServer } from "@holdfast/harness";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { findChromium, launchChromium } from "../harness/browser.js";
import { Supervised } from "../harness/supervised.js";

const chromium = findChromium();
const hasRedis = findRedisServer() !== undefined;
const DEADLINE_MS = 120_000;
/** What is not read is older by as much as time has passed. Between two looks, a process may have had to wait. */
const PAUSE_MS = 500;
/** Where the chart draws 0. */
const ZERO_Y = 54;

test.skipIf(chromium === undefined || !hasRedis)(
  "while what other hosts have sent is not read, the line rises, with the values of stats(); then it falls to 0",
  async () => {
    const redis = await RedisServer.start();
    const browser = await launchChromium(chromium as string);
    const backplane = { url: redis.url, app: "test", lease: 1_000 };
    const it = await Supervised.start({ backplane, options: { admin: { port: 0 } } });
    const client = new Redis(redis.url);
    try {
      const url = await it.primary.run(async (ctx) => (await ctx.cluster()).adminUrl ?? "");
      const page = await browser.newPage();
      page.setDefaultTimeout(DEADLINE_MS);
      await page.goto(url);
      const card = page.locator(".chart", { hasText: "Redis, round trip and lag" });
      await card.waitFor();
      const stats = () =>
        it.primary.run(async (ctx) => {
          const { hosts } = (await ctx.cluster()).hub.stats();
          return { name: hosts?.name ?? "", lagMs: hosts?.inboxLagMs ?? -1, at: Date.now() };
        });
      const status = async () => JSON.parse((await httpRequest(`${url}api/status`)).text) as LiveStatus;
      const lagOf = ({ series }: History) => series.backplaneLag.filter((value) => value !== null);
      /** As the page says it. */
      const inWords = (ms: number) =>
        page.evaluate<string>(`import("/words.js").then(({ milliseconds }) => milliseconds(${ms}))`);

      // As if another host had put two entries there, and they had not come.
      const { name } = await stats();
      await client.hincrby(`hf:{test}:h:${name}`, "k", 2);
      await expect
        .poll(async () => lagOf((await status()).history).at(-1), { timeout: DEADLINE_MS })
        .toBeGreaterThan(5_000);
      const [now, { backplane: shown, history, at }] = [await stats(), await status()];
      const lagAt = (moment: number) => now.lagMs - (now.at - moment);
      expect(Math.abs(lagAt(at) - (shown?.inboxLagMs ?? 0))).toBeLessThan(PAUSE_MS);
      expect(Math.abs(lagAt(history.endsAt) - (lagOf(history).at(-1) ?? 0))).toBeLessThan(PAUSE_MS);

      // The page draws the history of the same moment.
      const drawn = async () => {
        const values = lagOf((await status()).history);
        const [unit, spoken, path] = await card.evaluate((element) => [
          element.querySelector(".unit")?.textContent,
          element.querySelector(".spoken")?.textContent,
          element.querySelector(".line-1")?.getAttribute("d"),
        ]);
        return unit === `lag ${await inWords(values.at(-1) ?? 0)}` && { values, spoken, path };
      };
      let line = await drawn();
      while (!line) line = await drawn();
      const { values, spoken, path } = line;
      const heights = [...(path ?? "").matchAll(/[ML][\d.]+ ([\d.]+)/g)].map(([, y]) => ZERO_Y - Number(y));
      expect(heights).toHaveLength(values.length);
      const [highest, largest] = [heights.at(-1) ?? 0, values.at(-1) ?? 0];
      expect(highest).toBeGreaterThan(20);
      for (const [index, value] of values.entries()) {
        expect(Math.abs((heights[index] ?? 0) - (value / largest) * highest)).toBeLessThan(0.2);
      }
      expect(spoken).toContain(`and ${await inWords(largest)}.`);

      const empty = Buffer.alloc(4);
      const number = Number(await client.hincrby("hf:{test}:state", "n", 1));
      await client.xadd(`hf:{test}:in:${name}`, `${number}-0`, "h", "nobody", "k", "2", "f", empty);
      await card.locator(".unit", { hasText: /^lag 0\.0 ms$/ }).waitFor();
      expect((await stats()).lagMs).toBe(0);
    } finally {
      client.disconnect();
      await it.close();
      await browser.close();
      await redis.close();
    }
  },
  180_000,
);
