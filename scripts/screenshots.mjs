/**
 * Takes the pictures of the chat that the README shows: docs/images/chat-*.png.
 * Usage: npm run screenshots
 */
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { findChromium, launchChromium } from "../test/dist/harness/browser.js";
import { ChatPage } from "../test/dist/harness/chat-page.js";
import { Example } from "../test/dist/harness/example.js";

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
const browser = await launchChromium(findChromium());
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
  await browser.close();
  await example.stop();
}
