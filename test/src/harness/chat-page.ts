/** The chat's page in a browser, as someone who uses it sees it. Runs in: tests. */
import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { RawWebSocket } from "./raw-websocket.js";

export type Transport = "polling" | "websocket";
export const TRANSPORT_NAMES = { polling: "Long-polling", websocket: "WebSocket" } as const;

/**
 * What a browser says of its own accord when the process at the other end is killed, and its session with it. A
 * poll that the process had taken through another worker is answered 502, one that it had not taken yet 503.
 */
const LOST_CONNECTION = /net::ERR_|WebSocket connection to|status of (400|502|503)/;

const PATIENCE_MS = 30_000;

/** So many does Chromium keep. */
const CONNECTIONS_PER_HOST = 6;

export class ChatPage {
  readonly name: string;
  readonly #open: () => Promise<Page>;
  #page: Page;
  readonly #errors: string[] = [];
  /**
   * Sessions that the page has ended. Poll and end take connections of their own, in no order: a poll that the end
   * overtakes is answered 400, by any server of Engine.IO.
   */
  readonly #ended = new Set<string | null>();

  private constructor(name: string, open: () => Promise<Page>, page: Page) {
    this.name = name;
    this.#open = open;
    this.#page = page;
  }

  static async open(browser: Browser, url: string, name: string, options: BrowserContextOptions = {}) {
    const open = async () => {
      const context = await browser.newContext(options);
      context.setDefaultTimeout(PATIENCE_MS);
      return context.newPage();
    };
    const chat = new ChatPage(name, open, await open());
    await chat.#enter(url);
    return chat;
  }

  get page(): Page {
    return this.#page;
  }

  async #enter(url: string): Promise<void> {
    this.page.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      const isOvertaken =
        /status of 400/.test(message.text()) && this.#ended.has(sessionOf(message.location().url));
      if (!isOvertaken) this.#errors.push(message.text());
    });
    this.page.on("request", (request) => {
      if (isEnd(request.postData())) this.#ended.add(sessionOf(request.url()));
    });
    this.page.on("pageerror", (error) => this.#errors.push(error.message));
    await this.page.goto(url);
    await this.connected();
    await this.page.fill("#name", this.name);
    await this.page.locator("#name").blur();
    await this.person(this.name).waitFor({ state: "attached" });
  }

  async connected(): Promise<void> {
    await this.page.waitForSelector('#status[data-state="on"]');
  }

  /** The worker that serves this page. */
  async worker(): Promise<number> {
    await this.connected();
    return Number((await this.page.textContent("#status-worker"))?.replace("worker ", ""));
  }

  /** Connects anew over `transport`; on another worker than `not`, if that is given. */
  async use(transport: Transport, { not }: { not?: number } = {}): Promise<void> {
    const others: RawWebSocket[] = [];
    try {
      for (let tries = 0; tries < 30; tries++) {
        await this.page.click(`[data-transport="${transport}"]`);
        await this.page.waitForSelector(`[data-transport="${transport}"][aria-pressed="true"]`);
        if ((await this.worker()) !== not) return;
        // They go to the worker with fewer connections, until that is the other one.
        const { port } = new URL(this.page.url());
        for (let i = 0; i < 6; i++) others.push(await RawWebSocket.open(Number(port)));
        if (transport === "polling") await (tries % 5 < 4 ? this.#connectMore() : this.#startAfresh());
      }
      throw new Error(`every connection went to worker ${not}`);
    } finally {
      for (const other of others) other.close();
    }
  }

  /** A session that polls begins on a connection that the browser has kept; which one it takes next, this changes. */
  async #connectMore(): Promise<void> {
    await this.page.evaluate((count) => {
      const answers = Array.from({ length: count }, (_, i) => fetch(`/?${i}`, { cache: "no-store" }));
      return Promise.all(answers.map(async (answer) => (await answer).text()));
    }, CONNECTIONS_PER_HOST);
  }

  /** Enters the page with connections of its own: those that the browser has kept may all lead to one worker. */
  async #startAfresh(): Promise<void> {
    const url = this.page.url();
    await this.page.fill("#name", "Someone else");
    await this.page.locator("#name").blur();
    await this.person(this.name).waitFor({ state: "detached" });
    // A session over a WebSocket ends with its page, one that polls some seconds later.
    await this.use("websocket");
    await this.page.context().close();
    this.#page = await this.#open();
    await this.#enter(url);
  }

  async say(text: string): Promise<void> {
    await this.page.fill("#composer input", text);
    await this.page.press("#composer input", "Enter");
  }

  /** Says `text` and waits until it is on another page. */
  async talk(text: string, listener: ChatPage): Promise<void> {
    await this.say(text);
    await listener.message(text).waitFor();
  }

  /** A message on this page, by its whole text. */
  message(text: string): Locator {
    return this.page.locator("#messages .message", {
      has: this.page.locator(".text", { hasText: new RegExp(`^${escapeRegExp(text)}$`) }),
    });
  }

  /** The worker that a message on this page came through. */
  async workerOf(text: string): Promise<string | null> {
    return this.message(text).locator(".chip").textContent();
  }

  /** Someone in the list of people; on a worker and over a transport, if given. */
  person(name: string, { worker, transport }: { worker?: number; transport?: Transport } = {}): Locator {
    let item = this.page.locator("#people li").filter({ hasText: name });
    if (worker !== undefined) item = item.filter({ has: this.page.locator(`.chip:text-is("w${worker}")`) });
    if (transport) item = item.filter({ hasText: TRANSPORT_NAMES[transport] });
    return item;
  }

  /** The card of a worker in the panel. */
  card(worker: number, state?: "up" | "down" | "starting"): Locator {
    return this.page.locator(`.worker[data-slot="${worker}"]${state ? `[data-state="${state}"]` : ""}`);
  }

  /** What the browser complained about; after a kill, lost connections are no complaint. */
  errors({ afterKill = false } = {}): string[] {
    return afterKill ? this.#errors.filter((text) => !LOST_CONNECTION.test(text)) : this.#errors;
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}

/** Whether a payload of packets has Engine.IO's "close". */
function isEnd(payload: string | null): boolean {
  return payload?.split("\x1e").includes("1") ?? false;
}

/** The session that a request belongs to; none if it is that of something else. */
function sessionOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).searchParams.get("sid") : null;
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
