/** The chat example in a real browser, on a cluster of two workers. */
import type { Browser, BrowserContextOptions } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { findChromium, launchChromium } from "./harness/browser.js";
import { ChatPage } from "./harness/chat-page.js";
import { Example } from "./harness/example.js";

const chromium = findChromium();
const TRANSPORTS = ["polling", "websocket"] as const;
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

describe.skipIf(chromium === undefined)("the chat in Chromium", () => {
  let example: Example;
  let url: string;
  let browser: Browser;
  let pages: ChatPage[] = [];
  /** Each test talks in a room of its own. */
  let room = 0;

  beforeAll(async () => {
    browser = await launchChromium(chromium as string);
    example = new Example({
      script: "chat/server.js",
      args: ["--port", "0", "--workers", "2", "--host", "127.0.0.1"],
    });
    url = (await example.line(/^Chat on (\S+) /))[1] as string;
  });

  afterAll(async () => {
    await browser?.close();
    await example?.stop();
    expect(example.stderr).toBe("");
  });

  beforeEach(() => {
    room++;
  });

  afterEach(async () => {
    for (const page of pages) await page.close();
    pages = [];
  });

  async function open(name: string, options: BrowserContextOptions = DESKTOP): Promise<ChatPage> {
    const page = await ChatPage.open(browser, `${url}/#room-${room}`, name, options);
    pages.push(page);
    return page;
  }

  /** Two people on different workers. */
  async function openTwo(transport: (typeof TRANSPORTS)[number]): Promise<[ChatPage, ChatPage]> {
    const ada = await open("Ada");
    const grace = await open("Grace");
    await ada.use(transport);
    await grace.use(transport, { not: await ada.worker() });
    return [ada, grace];
  }

  describe.each(TRANSPORTS)("over %s", (transport) => {
    it("two people on different workers talk, and see each other", async () => {
      const [ada, grace] = await openTwo(transport);
      const workers = { ada: await ada.worker(), grace: await grace.worker() };
      expect(workers.ada).not.toBe(workers.grace);

      await ada.say(`from Ada, ${transport}`);
      await grace.message(`from Ada, ${transport}`).waitFor();
      await grace.say(`from Grace, ${transport}`);
      await ada.message(`from Grace, ${transport}`).waitFor();
      expect(await grace.workerOf(`from Ada, ${transport}`)).toBe(`w${workers.ada}`);
      expect(await ada.workerOf(`from Grace, ${transport}`)).toBe(`w${workers.grace}`);

      const trip = ada.message(`from Ada, ${transport}`).locator(".trip.done");
      expect(await trip.textContent()).toMatch(/^[\d.]+ m?s$/);

      for (const page of [ada, grace]) {
        await page.person("Ada", { worker: workers.ada, transport }).waitFor();
        await page.person("Grace", { worker: workers.grace, transport }).waitFor();
        await page.page.locator("#people-count", { hasText: /^2$/ }).waitFor();
        for (const worker of [1, 2]) await page.card(worker, "up").waitFor();
        expect(page.errors()).toEqual([]);
      }
    });

    it("the talk goes on when someone's worker is killed", async () => {
      const [ada, grace] = await openTwo(transport);
      const killed = await grace.worker();
      const card = ada.card(killed, "up");
      await card.waitFor();
      const pid = await card.locator("header small").textContent();

      await card.locator(".kill").click();
      await grace.say(`said into the gap, ${transport}`);
      await grace.page.locator(".note", { hasText: `Worker ${killed} is gone` }).waitFor();
      await grace.page.locator(".note", { hasText: "The chat goes on" }).last().waitFor();

      await ada.message(`said into the gap, ${transport}`).waitFor();
      const worker = await grace.worker();
      for (const page of [ada, grace]) await page.person("Grace", { worker, transport }).waitFor();
      await ada.say(`after the kill, ${transport}`);
      await grace.message(`after the kill, ${transport}`).waitFor();
      expect(await ada.message(`said into the gap, ${transport}`).count()).toBe(1);

      await ada.page.locator("#history li", { hasText: `Worker ${killed} died: SIGKILL (${pid})` }).waitFor();
      await ada
        .card(killed, "up")
        .locator("small", { hasNotText: pid as string })
        .waitFor();
      expect([ada, grace].flatMap((page) => page.errors({ afterKill: true }))).toEqual([]);
    });
  });

  it("invites whoever comes first, and a guest or two keep one person company while a worker is killed", async () => {
    const ada = await open("Ada");
    const { page } = ada;
    await page.locator("#welcome").waitFor();
    await page.click("#guests");
    await page.locator("#people li", { hasText: "Katherine" }).waitFor();
    await page.locator(".message", { hasText: /./ }).nth(3).waitFor();
    await ada
      .card(await ada.worker(), "up")
      .locator(".kill")
      .click();
    await page.locator(".note", { hasText: "The chat goes on" }).waitFor();
    const before = await page.locator(".message").count();
    await page
      .locator(".message")
      .nth(before + 6)
      .waitFor();
    expect(await page.textContent("#score")).toMatch(
      /^\d+ sent · \d+ received · 0 lost · 0 doubled · longest pause [\d.]+ m?s$/,
    );
    await page.click("#guests");
    await page.locator("#people li", { hasText: "Katherine" }).waitFor({ state: "detached" });
    await page.click("#welcome-close");
    await page.reload();
    await ada.connected();
    expect(await page.locator("#welcome").isVisible()).toBe(false);
    expect(ada.errors({ afterKill: true })).toEqual([]);
  });

  it("the dashboard of the chat is where the terminal says", async () => {
    const [, dashboard] = await example.line(/^Dashboard on (\S+) \(for orders, its token is [\w-]{16}\)/);
    const page = await browser.newPage();
    await page.goto(dashboard as string);
    await page.locator("#rows tr").nth(1).waitFor();
    expect(await page.title()).toMatch(/chat-\d+ · Holdfast$/);
    await page.close();
  });

  it("the talk goes on when all workers are reloaded", async () => {
    const [ada, grace] = await openTwo("websocket");
    const pids = await ada.page.locator(".worker header small").allTextContents();
    await ada.page.click("#reload");
    for (const worker of [1, 2]) {
      await ada.page
        .locator("#history li", { hasText: `Worker ${worker} was replaced` })
        .first()
        .waitFor();
    }
    for (const pid of pids)
      await ada.page.locator("#history li", { hasText: `was replaced (${pid})` }).waitFor();
    for (const page of [ada, grace]) await page.connected();
    await ada.say("after the reload");
    await grace.message("after the reload").waitFor();
    expect(await grace.message("after the reload").count()).toBe(1);
    for (const { page } of [ada, grace])
      expect(await page.locator(".note", { hasText: "is gone" }).count()).toBe(0);
    expect([ada, grace].flatMap((page) => page.errors())).toEqual([]);
  });

  it("shows text as text", async () => {
    const ada = await open("<b>Ada</b>");
    const text = '<img src="x" onerror="document.title=1"> & more';
    await ada.say(text);
    await ada.message(text).waitFor();
    const grace = await open("Grace");
    await grace.message(text).waitFor();
    for (const page of [ada, grace]) {
      expect(await page.page.locator("#messages img, #messages .by b b, #people b").count()).toBe(0);
      expect(await page.page.title()).toBe("Holdfast chat");
      expect(page.errors()).toEqual([]);
    }
  });

  it("keeps rooms apart, and shows who joins what was said", async () => {
    const ada = await open("Ada");
    const grace = await open("Grace");
    const eve = await open("Eve");
    for (const page of [ada, grace]) {
      await page.page.fill("#join input", "Tea");
      await page.page.press("#join input", "Enter");
      await page.page.locator("#room-name", { hasText: /^tea$/ }).waitFor();
    }
    await ada.say("only for tea");
    await grace.message("only for tea").waitFor();
    await ada.page.click(`.room:has-text("room-${room}")`);
    await ada.say("for everyone");
    await eve.message("for everyone").waitFor();
    await grace.page.locator(".unread", { hasText: /^1$/ }).waitFor();
    expect(await eve.message("only for tea").count()).toBe(0);

    await eve.page.fill("#join input", "tea");
    await eve.page.press("#join input", "Enter");
    await eve.message("only for tea").waitFor();
    await eve.person("Grace").waitFor();

    await eve.page.reload();
    await eve.connected();
    await eve.message("only for tea").waitFor();
    await eve.person("Eve").waitFor();
    expect(await eve.page.inputValue("#name")).toBe("Eve");
    expect([ada, grace, eve].flatMap((page) => page.errors())).toEqual([]);
  });

  describe.each([
    { screen: "desktop", options: DESKTOP },
    { screen: "phone", options: PHONE },
  ])("on a $screen", ({ screen, options }) => {
    it.each(["light", "dark"] as const)("fits, %s", async (colorScheme) => {
      const ada = await open("Ada", { ...options, colorScheme });
      const { page } = ada;
      const text = "W".repeat(500);
      await ada.say(text);
      await ada.message(text).waitFor();
      const lightness = await page.evaluate(() => {
        const [r = 0, g = 0, b = 0] =
          getComputedStyle(document.body).backgroundColor.match(/\d+/g)?.map(Number) ?? [];
        return (r + g + b) / 3;
      });
      expect(lightness > 128).toBe(colorScheme === "light");

      for (const part of screen === "phone" ? ["people", "talk", "cluster"] : [undefined]) {
        if (part) await page.tap(`[data-show="${part}"]`);
        const shown = part ? `[data-part="${part}"]` : "[data-part]";
        for (const section of await page.locator(shown).all()) expect(await section.isVisible()).toBe(true);
        const [wide, high] = await page.evaluate(() => {
          const { scrollWidth, scrollHeight } = document.documentElement;
          return [scrollWidth - innerWidth, scrollHeight - innerHeight];
        });
        expect({ part, wide, high }).toEqual({ part, wide: 0, high: 0 });
      }
      expect(ada.errors()).toEqual([]);
    });
  });
});
