import fc from "fast-check";
import { expect, test } from "vitest";
import { RequestTally } from "../dist/request-stats.js";

const request = fc.tuple(
  fc.double({ min: 0, max: 60_000, noNaN: true }),
  fc.constantFrom(
    undefined,
    "HOLDFAST_ERR_REQUEST_TIMEOUT",
    "HOLDFAST_ERR_REQUEST_FAILED",
    "HOLDFAST_ERR_CLOSED",
  ),
);

test("each request is in the bucket of its duration, and under its result", () => {
  const tally = new RequestTally();
  tally.add(1);
  tally.add(1.1);
  tally.add(99_999, "HOLDFAST_ERR_REQUEST_TIMEOUT");
  tally.add(0, "HOLDFAST_ERR_REQUEST_FAILED");
  tally.add(0, "HOLDFAST_ERR_NO_HUB");
  tally.add(0, "HOLDFAST_ERR_OF_A_LATER_VERSION");
  const { results, failures, boundsMs, counts, sumMs } = tally.stats();
  expect(results).toEqual({ answered: 2, timeout: 1, failed: 1, lost: 2 });
  expect(Object.entries(failures).filter(([, count]) => count > 0)).toEqual([
    ["HOLDFAST_ERR_REQUEST_TIMEOUT", 1],
    ["HOLDFAST_ERR_REQUEST_FAILED", 1],
    ["HOLDFAST_ERR_NO_HUB", 1],
    ["other", 1],
  ]);
  expect(counts).toHaveLength(boundsMs.length + 1);
  expect([counts[0], counts[boundsMs.indexOf(1)], counts[boundsMs.indexOf(2.5)], counts.at(-1)]).toEqual([
    3, 1, 1, 1,
  ]);
  expect(sumMs).toBeCloseTo(100_001.1);
});

test("what is told in parts adds up to the whole", () => {
  fc.assert(
    fc.property(fc.array(fc.array(request)), (parts) => {
      const [whole, told, sum] = [new RequestTally(), new RequestTally(), new RequestTally()];
      for (const part of parts) {
        for (const each of part) {
          whole.add(...each);
          told.add(...each);
        }
        sum.include(told.take());
        expect(told.take()).toEqual([]);
      }
      expect(sum.stats()).toEqual(whole.stats());
    }),
  );
});

test("figures of another version are left out", () => {
  const tally = new RequestTally();
  tally.include([1, 2, 3]);
  expect(tally.take()).toEqual([]);
});
