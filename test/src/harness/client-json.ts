/** What clients can say, as JSON: ordinary values, and those that have broken something somewhere. */
import fc from "fast-check";
import { nested } from "./text-client.js";

/** Names that code has, half surrogate pairs, depth, odd numbers and keys, width. Each takes less than 32 KiB. */
export const HOSTILE: readonly string[] = [
  '{"constructor":1,"toJSON":1}',
  '{"__proto__":{"a":1},"then":1,"valueOf":null,"toString":[],"length":-1,"hasOwnProperty":false}',
  '{"constructor":{"name":"Map"},"prototype":{},"_placeholder":true,"num":-1}',
  '["\\ud83d","\\udc00\\ud800",{"\\ud800":"\\u0000"}]',
  `{"deep":${nested(1_500)}}`,
  "[1e308,-0,1e-320,9007199254740993,123456789012345678901234567890]",
  '{"":{"":[]},"0":1,"-1":2,"4294967295":3}',
  JSON.stringify(Array.from({ length: 10_000 }, (_, i) => i % 7)),
  JSON.stringify(Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`k${i}`, i]))),
];

/** Any code units, half surrogate pairs among them. */
const codeUnit = fc
  .oneof(fc.integer({ min: 0x20, max: 0x7e }), fc.integer({ min: 0, max: 0xffff }))
  .map((code) => String.fromCharCode(code));

export const clientJson = fc.oneof(
  fc.json({ stringUnit: codeUnit, maxDepth: 6 }),
  fc.constantFrom(...HOSTILE),
);
