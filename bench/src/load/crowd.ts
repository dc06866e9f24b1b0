/**
 * Clients that stay, and come back when they are cut off, as socket.io-client does: each measures the longest time without
 * an event. Runs in: load generators.
 */
import type { Commands } from "@holdfast/harness";
import { ascending, quantile } from "../lib/stats.js";
import { WsClient } from "./ws-wire.js";

export interface CrowdReport {
  /** How often a client was cut off. */
  readonly disconnects: number;
  /** The longest time that each client had no event, milliseconds, over all clients. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** As socket.io-client waits before its first try: 1 s, more or less by a half. */
const RETURN_MS = 1_000;
const JITTER = 0.5;
const AT_ONCE = 50;
/** A connection that is not up by then is given up: some ways of replacing workers leave clients without an answer. */
const CONNECT_MS = 5_000;

class Guest {
  disconnects = 0;
  longest = 0;
  #last = performance.now();
  // connecting → connected → away → connecting
  state: "connecting" | "connected" | "away" = "away";
  readonly #port: number;
  #onConnected = () => {};

  constructor(port: number) {
    this.#port = port;
  }

  /** Settles when it is connected, however often that takes. */
  arrive(): Promise<void> {
    const connected = new Promise<void>((resolve) => {
      this.#onConnected = resolve;
    });
    this.#connect();
    return connected;
  }

  startWindow(): void {
    this.disconnects = 0;
    this.longest = 0;
    this.#last = performance.now();
  }

  #connect(): void {
    this.state = "connecting";
    const client = new WsClient(this.#port, {
      connected: () => {
        clearTimeout(timer);
        this.state = "connected";
        this.#onConnected();
      },
      event: () => this.#onEvent(),
      closed: () => {
        clearTimeout(timer);
        this.#onClosed();
      },
    });
    const timer = setTimeout(() => client.close(), CONNECT_MS);
  }

  #onEvent(): void {
    const now = performance.now();
    this.longest = Math.max(this.longest, now - this.#last);
    this.#last = now;
  }

  #onClosed(): void {
    if (this.state === "connected") this.disconnects++;
    this.state = "away";
    setTimeout(() => this.#connect(), RETURN_MS * (1 + JITTER * (2 * Math.random() - 1)));
  }
}

export function crowd(): Commands {
  let guests: Guest[] = [];
  return {
    /** Connects so many clients. */
    crowdIn: async (port: number, count: number) => {
      guests = Array.from({ length: count }, () => new Guest(port));
      for (let at = 0; at < count; at += AT_ONCE) {
        await Promise.all(guests.slice(at, at + AT_ONCE).map((guest) => guest.arrive()));
      }
    },
    startCrowdWindow: () => {
      for (const guest of guests) guest.startWindow();
    },
    /** Waits until all are connected. */
    crowdSettled: async () => {
      while (guests.some(({ state }) => state !== "connected")) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    crowdReport: (): CrowdReport => {
      const gaps = ascending(guests.map(({ longest }) => longest));
      return {
        disconnects: guests.reduce((sum, { disconnects }) => sum + disconnects, 0),
        p50: quantile(gaps, 0.5),
        p99: quantile(gaps, 0.99),
        max: gaps.at(-1) ?? 0,
      };
    },
  };
}
