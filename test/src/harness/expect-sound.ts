/** What every workload of recovery has to show in the end. Owns: nothing. Runs in: tests. */
import { expect } from "vitest";
import { type ClientHistory, check, recoveredShare } from "./history-check.js";

/** Nobody has lost, doubled or reordered anything, nothing failed, and nearly all who came back were recovered. */
export function expectSound({
  histories,
  faults,
}: {
  readonly histories: readonly ClientHistory[];
  readonly faults: readonly string[];
}): void {
  expect(check(histories)).toEqual([]);
  expect(faults).toEqual([]);
  const { recovered, of } = recoveredShare(histories);
  expect(of).toBeGreaterThan(50);
  expect(recovered / of).toBeGreaterThanOrEqual(0.99);
}
