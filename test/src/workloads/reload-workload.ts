/**
 * Workers are replaced again and again while others, and they themselves, send: whoever has a WebSocket stays connected,
 * and the checker finds nothing. Runs in: tests.
 */
import { expect } from "vitest";
import { check } from "../harness/history-check.js";
import { runWorkload, TRANSPORTS, type WorkloadOptions } from "./recovery-workload.js";

type Size = Pick<WorkloadOptions, "workers" | "clients" | "rooms" | "rate"> & { readonly reloads: number };

export async function expectNobodyNotices(size: Size): Promise<void> {
  const { histories, faults, moves } = await runWorkload({
    ...size,
    seconds: 0,
    killEveryMs: 1,
    dropEveryMs: 1,
  });
  expect(check(histories)).toEqual([]);
  expect(faults).toEqual([]);
  const live = histories.filter((_, i) => TRANSPORTS[i % TRANSPORTS.length]?.includes("websocket"));
  const connects = live.map(({ events }) => events.filter(({ type }) => type === "connect").length);
  expect(connects).toEqual(live.map(() => 1));
  expect(moves).toMatchObject({ moved: live.length * size.reloads, lost: 0 });
}
