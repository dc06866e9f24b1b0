/**
 * Takes the pictures that the README and the pages show: docs/images/chat-*.png and docs/images/dashboard-*.png. The
 * dashboard's are of a simulated cluster: 64 workers need 64 cores.
 * Usage: npm run screenshots [-- chat|dashboard]
 */
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { findChromium, launchChromium } from "../test/dist/harness/browser.js";
import { ChatPage } from "../test/dist/harness/chat-page.js";
import { Example } from "../test/dist/harness/example.js";
import { SimulatedCluster } from "../test/dist/harness/simulated-cluster.js";

const folder = fileURLToPath(new URL("../docs/images/", import.meta.url));
const desktop = { viewport: { width: 1280, height: 860 }, deviceScaleFactor: 1.5, colorScheme: "light" };
const phone = {
  viewport: { width: 390, height: 780 },
  deviceScaleFactor: 2,
  colorScheme: "dark",
  isMobile: true,
  hasTouch: true,
};

mkdirSync(folder, { recursive: true });
const [, , only] = process.argv;
const browser = await launchChromium(findChromium());
try {
  if (only !== "dashboard") await takeChat();
  if (only !== "chat") await takeDashboard();
} finally {
  await browser.close();
}

async function takeChat() {
  const example = new Example({
    script: "chat/server.js",
    args: ["--port", "0", "--workers", "4", "--host", "127.0.0.1"],
  });
  try {
    const [, url] = await example.line(/^Chat on (\S+) /);
    const ada = await ChatPage.open(browser, `${url}/#launch`, "Ada", desktop);
    const grace = await ChatPage.open(browser, `${url}/#launch`, "Grace", phone);
    const others = [];
    for (const name of ["Alan", "Barbara", "Edsger"]) {
      others.push(await ChatPage.open(browser, `${url}/#launch`, name));
    }
    await ada.use("websocket");
    await grace.use("polling", { not: await ada.worker() });
    await others[1].use("polling");

    await ada.talk("Good morning! Which worker are you on?", grace);
    await grace.talk("Not on yours, and on long-polling. I read you all the same.", ada);
    await others[0].talk("Someone should pull a plug.", ada);
    await ada.talk("Killing Grace's worker now.", grace);
    await ada
      .card(await grace.worker(), "up")
      .locator(".kill")
      .click();
    await grace.page.locator(".note", { hasText: "is gone" }).waitFor();
    await grace.talk("Was that it? I have lost nothing.", ada);
    await grace.page.locator(".note", { hasText: "The chat goes on" }).waitFor();
    await others[2].talk("Neither have we.", ada);
    await ada.talk("And the worker is back already.", grace);
    for (const worker of [1, 2, 3, 4]) await ada.card(worker, "up").waitFor();
    // Some seconds of small talk elsewhere give the panel figures to show.
    for (const { page } of others) await page.click('.room:has-text("lobby")');
    for (let second = 0; second < 15; second++) {
      for (const [i, other] of others.entries())
        if (second % (i + 1) === 0) await other.say(`small talk ${second}`);
      await ada.page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 1_000)));
    }
    await ada.page.locator("#composer input").blur();
    await ada.page.screenshot({ path: `${folder}chat-desktop.png` });
    await grace.page.locator("#composer input").blur();
    await grace.page.screenshot({ path: `${folder}chat-phone.png` });
    await grace.page.tap('[data-show="cluster"]');
    await grace.page.screenshot({ path: `${folder}chat-phone-workers.png` });
  } finally {
    await example.stop();
  }
}

async function takeDashboard() {
  const few = { workersPerHost: 8, clientsPerWorker: 420 };
  await takeMoment("dashboard-desktop", few, { ...desktop, viewport: { width: 1360, height: 900 } });
  await takeMoment("dashboard-phone", { ...few, incident: "blocked-worker" }, phone);
  const reload = { ...desktop, viewport: { width: 1360, height: 420 } };
  await takeMoment("dashboard-reload", { ...few, incident: "reload" }, reload);
  const many = { hosts: 4, workersPerHost: 16, clientsPerWorker: 900 };
  await takeMoment("dashboard-hosts", many, {
    ...desktop,
    viewport: { width: 1360, height: 660 },
    colorScheme: "dark",
  });
}

async function takeMoment(name, simulation, options) {
  const cluster = new SimulatedCluster(simulation);
  const page = await browser.newPage(options);
  try {
    await page.goto(await cluster.open());
    await page.locator(".node").first().waitFor();
    // The circles have grown to their size.
    await page.waitForFunction(() => document.getAnimations().every((each) => each instanceof CSSAnimation));
    await page.screenshot({ path: `${folder}${name}.png` });
  } finally {
    await page.close();
    await cluster.close();
  }
}
