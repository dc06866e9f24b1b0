import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeToPrimary,
  decodeToWorker,
  encodeToPrimary,
  encodeToWorker,
  type ToPrimary,
  type ToWorker,
} from "../../dist/wire/worker-messages.js";

const count = fc.nat();
const toWorker: fc.Arbitrary<ToWorker> = fc.oneof(
  fc.record({ kind: fc.constant("welcome" as const), version: count, beatMs: count, drainMs: count }),
  fc.record({ kind: fc.constant("drain" as const), timeoutMs: count }),
);
const thousandths = fc.integer({ min: 0, max: 1_000 }).map((each) => each / 1_000);
const sample = fc.record({
  rssBytes: count,
  heapBytes: count,
  heapLimitBytes: count,
  loopP50Ms: thousandths,
  loopP99Ms: thousandths,
  utilization: thousandths,
});
const toPrimary: fc.Arbitrary<ToPrimary> = fc.oneof(
  fc.record({ kind: fc.constant("join" as const), version: count }),
  fc.record({ kind: fc.constant("beat" as const), sample, requests: fc.array(count) }),
  fc.constant({ kind: "drained" as const }),
);

const overTheChannel = (message: object): unknown => JSON.parse(JSON.stringify(message));

test("what is encoded is decoded", () => {
  fc.assert(
    fc.property(toWorker, (message) => {
      expect(decodeToWorker(overTheChannel(encodeToWorker(message)))).toEqual(message);
    }),
  );
  fc.assert(
    fc.property(toPrimary, (message) => {
      expect(decodeToPrimary(overTheChannel(encodeToPrimary(message)))).toEqual(message);
    }),
  );
});

test("whatever comes, decoding does not throw", () => {
  fc.assert(
    fc.property(fc.anything(), fc.array(fc.anything()), (value, fields) => {
      for (const message of [value, { "holdfast:cluster": fields }, { "holdfast:cluster": value }]) {
        decodeToWorker(message);
        decodeToPrimary(message);
      }
    }),
  );
});

test("the numbers of the kinds are as they were", () => {
  expect(encodeToWorker({ kind: "welcome", version: 1, beatMs: 2, drainMs: 3 })).toEqual({
    "holdfast:cluster": [1, 1, 2, 3],
  });
  expect(encodeToWorker({ kind: "drain", timeoutMs: 5 })).toEqual({ "holdfast:cluster": [3, 5] });
  expect(encodeToPrimary({ kind: "join", version: 1 })).toEqual({ "holdfast:cluster": [16, 1] });
  const beat = {
    rssBytes: 7,
    heapBytes: 6,
    heapLimitBytes: 9,
    loopP50Ms: 1.5,
    loopP99Ms: 20,
    utilization: 0.5,
  };
  expect(encodeToPrimary({ kind: "beat", sample: beat, requests: [3, 4] })).toEqual({
    "holdfast:cluster": [17, 7, 6, 9, 1_500, 20_000, 500, 3, 4],
  });
  expect(encodeToPrimary({ kind: "drained" })).toEqual({ "holdfast:cluster": [18] });
});
