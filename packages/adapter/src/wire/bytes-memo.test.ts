import { expect, test } from "vitest";
import { BytesMemo } from "../../dist/wire/bytes-memo.js";

test("the same small bytes are kept once, and never in the memory that they came in", () => {
  const memo = new BytesMemo();
  const source = Buffer.from("a a b ");
  const first = memo.keep(source.subarray(0, 2));
  const second = memo.keep(source.subarray(2, 4));
  const third = memo.keep(source.subarray(4, 6));
  source.fill("x");
  expect(second).toBe(first);
  expect([first, third].map((bytes) => Buffer.from(bytes).toString())).toEqual(["a ", "b "]);
});

test("large bytes are copied each time", () => {
  const memo = new BytesMemo();
  const bytes = Buffer.alloc(1_025, 1);
  expect(memo.keep(bytes)).not.toBe(memo.keep(bytes));
  expect(memo.keep(bytes)).toEqual(new Uint8Array(bytes));
});
