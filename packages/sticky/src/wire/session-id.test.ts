import fc from "fast-check";
import { expect, test } from "vitest";
import { sessionIdOf } from "../../dist/wire/session-id.js";

/** What Engine.IO 6 does in `prepare()`; an empty value is falsy to all that follows. */
function asEngineIo(target: string): string | undefined {
  const query: Record<string, string> = {};
  for (const [key, value] of parse(target)?.searchParams.entries() ?? []) query[key] = value;
  return query.sid || undefined;
}

/** Not with `URL.canParse()`: once it is compiled, that of Node.js 20 refuses hosts that are not ASCII. */
function parse(target: string): URL | undefined {
  try {
    return new URL(target, "https://socket.io");
  } catch {
    return undefined;
  }
}

const CASES = [
  "/socket.io/",
  "/socket.io/?",
  "/socket.io/?sid=abc",
  "/socket.io/?EIO=4&transport=polling&sid=abc",
  "/socket.io/?sid=abc&EIO=4",
  "/socket.io/?sid=first&sid=last",
  "/socket.io/?sid=first&sid=",
  "/socket.io/?sid=first&sid",
  "/socket.io/?sid",
  "/socket.io/?xsid=abc",
  "/socket.io/?sidx=abc",
  "/socket.io/?SID=abc",
  "/socket.io/?a=sid=abc",
  "/socket.io/?a?sid=abc",
  "/socket.io/?&&sid=abc&&",
  "/socket.io/?sid==a=b",
  "/socket.io/?s%69d=abc",
  "/socket.io/?sid=a%62c",
  "/socket.io/?sid=a+c",
  "/socket.io/?+sid=abc",
  "/socket.io/?sid=%",
  "/socket.io/?sid=abc#&sid=def",
  "/socket.io/#?sid=abc",
  "/sid=abc",
  "http://example.com/socket.io/?sid=abc",
  "//example.com/socket.io/?sid=abc",
  "//[bad/socket.io/?sid=abc",
  "http://example.com:99999/?sid=abc",
  "/socket.io/?sid=\xe9",
  "/socket.io/?sid='abc'",
];

test.each(CASES)("%s", (target) => {
  expect(sessionIdOf(target)).toBe(asEngineIo(target));
});

test("any query is read as Engine.IO reads it", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "sid",
      "sid=",
      "&",
      "=",
      "&sid=",
      "?",
      "#",
      "%73",
      "%",
      "+",
      "%26",
      "%3D",
      "s",
      "id",
      ";",
    ),
    fc.string({ unit: "binary-ascii", maxLength: 4 }).map((text) => text.replace(/[\0-\x20\x7f]/g, "")),
    fc.string({ unit: fc.constantFrom(..."aZ09-_.~é\xff") }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom("/socket.io/?", "/", "", "//", "http://a", "/#", "?"),
      fc.array(piece),
      (start, pieces) => {
        const target = start + pieces.join("");
        expect(sessionIdOf(target)).toBe(asEngineIo(target));
      },
    ),
    { numRuns: 20_000 },
  );
});
