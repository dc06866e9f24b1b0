/** The dashboard of a real cluster, in a real browser: its figures are those of stats(), and a killed worker is seen. */
import type { LiveStatus } from "@holdfast/cluster/live-status";
import { httpRequest } from "@holdfast/harness";
import { expect, test } from "vitest";
import { closedAfterEach } from "../harness/after-each.js";
import { findChromium, launchChromium } from "../harness/browser.js";
import { Clients } from "../harness/clients.js";
import { Supervised } from "../harness/supervised.js";

const chromium = findChromium();
const clients = closedAfterEach(new Clients());
const DEADLINE_MS = 120_000;

/** The moments that viewers are told, one a second. */
async function* momentsOf(url: string, signal: AbortSignal): AsyncGenerator<LiveStatus> {
  const { body } = await fetch(`${url}api/events`, { signal });
  if (!body) throw new Error("There is no event stream.");
  let text = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const events = (text + chunk).split("\n\n");
    text = events.pop() ?? "";
    for (const event of events) {
      const [name, data] = event.split("\ndata: ");
      if (name === "event: status" && data) yield JSON.parse(data) as LiveStatus;
    }
  }
}

test.skipIf(chromium === undefined)(
  "figures are those of stats(), refusals have their reasons, and a killed worker is seen in the next moments",
  async () => {
    const browser = await launchChromium(chromium as string);
    const it = await Supervised.start({ options: { admin: { port: 0 } } });
    const following = new AbortController();
    try {
      const url = await it.primary.run(async (ctx) => (await ctx.cluster()).adminUrl ?? "");
      const page = await browser.newPage();
      page.setDefaultTimeout(DEADLINE_MS);
      await page.goto(url);
      for (const transports of [["websocket"], ["websocket"], ["websocket"], ["polling"]] as const) {
        await clients.connect(it.url, { transports: [...transports] });
      }
      await it.worker(0).run((ctx) => void ctx.io.socketsJoin("tea"));
      const query = "EIO=4&transport=polling&sid=nobody";
      expect((await httpRequest(`${it.url}/socket.io/?${query}`)).status).toBe(400);
      await page.locator("#facts", { hasText: "2 of 2 workers ready · 4 clients" }).waitFor();

      const slotStats = () => it.primary.run(async (ctx) => (await ctx.cluster()).router.stats().slots);
      // Workers report what they have counted a moment later.
      await expect
        .poll(async () =>
          (await slotStats()).map(({ sessions }) => sessions.refused["unknown session"]).sort(),
        )
        .toEqual([0, 1]);
      const slots = await slotStats();
      const roomsOf = (workerId: number | undefined) =>
        it.primary.run(async (ctx, id) => {
          const { members } = (await ctx.cluster()).hub.stats();
          return members.find((member) => member.workerId === id)?.rooms;
        }, workerId);
      const places = (await it.status()).slots;
      expect(slots.map(({ slot, workerId }) => [slot, workerId])).toEqual(
        places.map(({ slot, workerId }) => [slot, workerId]),
      );
      for (const { slot, workerId, connections, sessions } of slots) {
        const { polling, websocket } = sessions.open;
        const row = page.locator("#rows tr").nth(slot);
        await row.locator("th", { hasText: `Worker ${slot}` }).waitFor();
        expect(await row.locator("td").nth(1).textContent()).toBe(String(polling + websocket));
        expect(await row.locator(".mix").getAttribute("aria-label")).toBe(
          polling + websocket === 0 ? "no clients" : `${websocket} WebSocket, ${polling} polling`,
        );
        await row.locator("button").click();
        const fact = (name: string) =>
          page.locator(".sheet-facts div", { has: page.getByText(name, { exact: true }) }).locator("dd");
        const worker = it.workers.find((each) => each.workerId === workerId);
        expect(await fact("Process").textContent()).toBe(String(worker?.pid));
        const rooms = polling + websocket === 0 ? 0 : polling + websocket + 1;
        await expect.poll(() => roomsOf(workerId), { timeout: DEADLINE_MS }).toBe(rooms);
        await fact("Rooms, with one for each client").getByText(String(rooms), { exact: true }).waitFor();
        await fact("Connections").getByText(String(connections), { exact: true }).waitFor();
        const refusals = page.locator(".reasons", { hasText: "unknown session" });
        const isRefused = sessions.refused["unknown session"] === 1;
        await expect
          .poll(() => refusals.allTextContents(), { timeout: DEADLINE_MS })
          .toEqual(isRefused ? ["unknown session1"] : []);
        await page.keyboard.press("Escape");
      }

      const moments = momentsOf(url, following.signal);
      await moments.next();
      await it.workers.find(({ workerId }) => workerId === places[0]?.workerId)?.kill();
      const killed = /^Worker 0 was killed by SIGKILL after /;
      // Two seconds are two of them, and one may be on its way.
      const seen: string[] = [];
      for (let i = 0; i < 3; i++) {
        const { value } = (await moments.next()) as { value: LiveStatus };
        seen.push(...value.events.map(({ text }) => text));
      }
      expect(seen.some((text) => killed.test(text))).toBe(true);
      await page.locator("#events", { hasText: /Worker 0 was killed by SIGKILL after / }).waitFor();
    } finally {
      following.abort();
      await it.close();
      await browser.close();
    }
  },
  180_000,
);
