/**
 * Workers are replaced again and again while others, and they themselves, send: all clients stay connected, whatever their
 * transports, and the checker finds nothing. Runs in: tests.
 */
import { expect } from "vitest";
import { check } from "../harness/history-check.js";
import { runWorkload, type WorkloadOptions } from "./recovery-workload.js";

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
  const connects = histories.map(({ events }) => events.filter(({ type }) => type === "connect").length);
  expect(connects).toEqual(histories.map(() => 1));
  expect(moves).toMatchObject({ moved: histories.length * size.reloads, lost: 0, closed: 0 });
}
