/**
 * Clients that stay and listen: each checks the numbers of the events it gets, together they measure how
 * long the events took. Runs in: load generators.
 */
import type { Agent, Commands } from "@holdfast/harness";
import { ascending, quantile } from "../lib/stats.js";
import { SequenceCheck, sequenceOf } from "../scenarios/sequence.js";
import { monotonicMicros, stampOf } from "../scenarios/stamp.js";
import { WsClient } from "./ws-wire.js";

/** What all clients together have got. */
export interface AudienceReport {
  readonly deliveries: number;
  readonly wrong: number;
  readonly closed: number;
  /** Microseconds from emit to arrival; 0 where events carry no time. */
  readonly p50: number;
  readonly p99: number;
}

export function audience(agent: Agent): Commands {
  const clients: WsClient[] = [];
  const checks = new Map<WsClient, SequenceCheck>();
  let deliveries = 0;
  let closed = 0;
  let timed = false;
  let delays: number[] = [];
  let complete: { at: number; resolve(): void } | undefined;

  const onEvent = (data: Buffer, start: number, client: WsClient) => {
    const sequence = sequenceOf(data, start);
    checks.get(client)?.add(sequence);
    if (timed) delays.push(monotonicMicros() - stampOf(data, start));
    // The last of all clients to get an event acknowledges it for everybody.
    if (++deliveries % clients.length === 0) agent.notify("received", sequence);
    if (complete && deliveries >= complete.at) complete.resolve();
  };

  return {
    /** Connects `count` clients, spread over `ports`. */
    gather: async (ports: number[], count: number) => {
      for (let i = 0; i < count; i++) {
        await new Promise<void>((resolve, reject) => {
          const client = new WsClient(ports[i % ports.length] ?? 0, {
            connected: () => resolve(),
            event: onEvent,
            closed: (_, reason) => {
              closed++;
              reject(new Error(`client ${i}: ${reason}`));
            },
          });
          clients.push(client);
        });
      }
    },
    /** Starts a new window whose first event is `first`. */
    listen: (first: number, withTimes: boolean) => {
      for (const client of clients) checks.set(client, new SequenceCheck(first));
      deliveries = 0;
      delays = [];
      timed = withTimes;
    },
    /** Waits until every client has had `events` events, or `ms` have passed. */
    heard: async (events: number, ms: number): Promise<AudienceReport> => {
      const at = events * clients.length;
      if (deliveries < at) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          complete = {
            at,
            resolve: () => {
              clearTimeout(timer);
              resolve();
            },
          };
        });
        complete = undefined;
      }
      const sorted = ascending(delays);
      const wrong = [...checks.values()].reduce((total, check) => total + check.wrong, 0);
      return {
        deliveries,
        wrong,
        closed,
        p50: timed ? quantile(sorted, 0.5) : 0,
        p99: timed ? quantile(sorted, 0.99) : 0,
      };
    },
  };
}
