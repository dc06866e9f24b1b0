/**
 * New WebSocket connections up to Socket.IO's CONNECT answer: a number of them, or a steady stream.
 * Runs in: load generators.
 */
import type { Commands } from "@holdfast/harness";
import { ascending, quantile } from "../lib/stats.js";
import { WsClient } from "./ws-wire.js";

export interface Arrivals {
  readonly connected: number;
  /** Ended or unanswered before the CONNECT answer. */
  readonly lost: number;
  /** Why, each reason once. */
  readonly reasons: readonly string[];
  /** Until the last of those that were answered. */
  readonly seconds: number;
  /** Milliseconds from the start of the connection to the answer. */
  readonly p50: number;
  readonly p99: number;
}

/** A connection without an answer for so long is lost. */
const PATIENCE_MS = 5_000;

/** Clients come from so many addresses, so that balancing by address has something to balance. */
const ADDRESSES = 64;
let lastAddress = 0;

/** Linux answers for all of 127.0.0.0/8; elsewhere there is only one address. */
function nextAddress(): string {
  if (process.platform !== "linux") return "127.0.0.1";
  lastAddress = (lastAddress % ADDRESSES) + 1;
  return `127.0.0.${lastAddress}`;
}

interface Outcome {
  readonly client: WsClient;
  readonly reason: string | undefined;
  readonly ms: number;
}

function arrive(port: number): Promise<Outcome> {
  const start = performance.now();
  return new Promise((resolve) => {
    const settle = (client: WsClient, reason?: string) => {
      clearTimeout(timer);
      resolve({ client, reason, ms: performance.now() - start });
    };
    const events = { connected: (self: WsClient) => settle(self), closed: settle };
    const client = new WsClient(port, events, nextAddress());
    const timer = setTimeout(() => settle(client, "no answer"), PATIENCE_MS);
  });
}

function report(outcomes: readonly Outcome[], seconds: number): Arrivals {
  const lost = outcomes.filter(({ reason }) => reason !== undefined);
  const times = ascending(outcomes.filter(({ reason }) => reason === undefined).map(({ ms }) => ms));
  return {
    connected: times.length,
    lost: lost.length,
    reasons: [...new Set(lost.map(({ reason }) => reason ?? ""))],
    seconds,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
  };
}

export function arrivals(): Commands {
  let held: WsClient[] = [];
  let stream: { stop: boolean; ended: Promise<Arrivals> } | undefined;

  return {
    /** Opens `count` connections, `atOnce` at a time; with `hold` they stay until `release`. */
    arrive: async (port: number, count: number, atOnce: number, hold: boolean): Promise<Arrivals> => {
      const outcomes: Outcome[] = [];
      let started = 0;
      const start = performance.now();
      let lastAnswer = start;
      const lane = async () => {
        while (started < count) {
          started++;
          const outcome = await arrive(port);
          outcomes.push(outcome);
          if (outcome.reason === undefined) lastAnswer = performance.now();
          if (hold) held.push(outcome.client);
          else outcome.client.close();
        }
      };
      await Promise.all(Array.from({ length: Math.min(atOnce, count) }, lane));
      return report(outcomes, (lastAnswer - start) / 1000);
    },
    release: () => {
      for (const client of held) client.close();
      held = [];
    },
    /** Opens `rate` connections a second until `calm`, and closes each when it is answered. */
    storm: (port: number, rate: number) => {
      const start = performance.now();
      const pending: Promise<Outcome>[] = [];
      const run = { stop: false };
      const ended = new Promise<Arrivals>((resolve) => {
        const turn = () => {
          const elapsed = (performance.now() - start) / 1000;
          if (run.stop) {
            void Promise.all(pending).then((outcomes) => resolve(report(outcomes, elapsed)));
            return;
          }
          while (pending.length < elapsed * rate) {
            pending.push(
              arrive(port).then((outcome) => {
                outcome.client.close();
                return outcome;
              }),
            );
          }
          setTimeout(turn, 1);
        };
        turn();
      });
      stream = Object.assign(run, { ended });
    },
    calm: async (): Promise<Arrivals | undefined> => {
      if (stream) stream.stop = true;
      return await stream?.ended;
    },
  };
}
