/** The documentation site as it was built, in a real browser: its search finds pages, and asks nobody else for that. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { runProgram } from "@holdfast/harness";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findChromium, launchChromium } from "../harness/browser.js";
import { ROOT } from "../harness/markdown.js";

const SITE = join(ROOT, "site/dist");
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2",
};
/** CI builds it before, since a dead link is a failure of its own. */
const BUILD_MS = 300_000;

const chromium = findChromium();
let browser: Browser;
let server: Server;
let url: string;

describe.skipIf(chromium === undefined)("the documentation site", () => {
  beforeAll(async () => {
    if (!existsSync(join(SITE, "index.html"))) {
      const build = ["scripts/docs.mjs", "build"];
      expect(await runProgram(process.execPath, build, { cwd: ROOT, deadlineMs: BUILD_MS })).toMatchObject({
        code: 0,
      });
    }
    server = createServer((request, response) => answer(request.url ?? "/", response));
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    browser = await launchChromium(chromium as string);
  }, BUILD_MS);

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  /** Types a word into the search of a page. */
  async function search(path: string, word: string, viewport = { width: 1280, height: 800 }) {
    const page = await browser.newPage({ viewport });
    const asked = new Set<string>();
    page.on("request", (request) => asked.add(new URL(request.url()).origin));
    await page.goto(`${url}${path}`);
    // Vue has taken over what was there before.
    await page.waitForFunction(() => "__vue_app__" in (document.querySelector("#app") ?? {}));
    await page.locator("#local-search button").click();
    await page.locator("#localsearch-input").fill(word);
    return { page, asked, results: page.locator("#localsearch-list") };
  }

  const phone = { width: 390, height: 844 };
  test.each([
    ["the home page", "", "shutdown_with_message", undefined, "PM2", /\/docs\/pm2(#|$)/],
    [
      "another page",
      "docs/words",
      "holdfast_hub_heap_limit_bytes",
      undefined,
      "Metrics",
      /\/docs\/metrics(#|$)/,
    ],
    ["a phone", "docs/pm2", "successor", phone, "Words", /\/docs\/words(#|$)/],
  ])("from %s, a word leads to the page that has it", async (_from, path, word, viewport, title, address) => {
    const { page, asked, results } = await search(path, word, viewport);
    await results.locator(".result", { hasText: title }).first().click();
    await page.waitForURL(address);
    await page.locator(".vp-doc h1", { hasText: title }).waitFor();
    // Nothing of it comes from elsewhere, now or later.
    expect([...asked]).toEqual([new URL(url).origin]);
    await page.close();
  });

  test("for a word that is nowhere, it says so", async () => {
    const { page, results } = await search("docs/pm2", "qqqzzzqqqzzz");
    await page.locator(".no-results", { hasText: "qqqzzzqqqzzz" }).waitFor();
    expect(await results.locator(".result").count()).toBe(0);
    await page.close();
  });
});

/** What a web server does that knows of pages without an ending. */
async function answer(path: string, response: ServerResponse): Promise<void> {
  const [name = ""] = decodeURIComponent(path).split("?");
  const candidates = [name, `${name}.html`, join(name, "index.html")].map((each) => join(SITE, each));
  for (const file of candidates.filter((each) => extname(each) !== "")) {
    const content = await readFile(file).catch(() => undefined);
    if (content) return void response.writeHead(200, { "Content-Type": TYPES[extname(file)] }).end(content);
  }
  response.writeHead(404).end();
}
