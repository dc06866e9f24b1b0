import fc from "fast-check";
import { expect, test } from "vitest";
import { type RequestLine, readRequestLine } from "../../dist/primary/request-line.js";

const line = (text: string): RequestLine => readRequestLine(Buffer.from(text, "latin1"));

test.each([
  ["GET / HTTP/1.1\r\n", { kind: "http", target: "/" }],
  ["GET / HTTP/1.1\n", { kind: "http", target: "/" }],
  ["\r\n\r\nGET / HTTP/1.1\r\n", { kind: "http", target: "/" }],
  ["get /a?sid=b HTTP/1.0\r\nHost: x", { kind: "http", target: "/a?sid=b" }],
  ["OPTIONS * HTTP/1.1\r\n", { kind: "http", target: "*" }],
  ["GET http://x/ HTTP/1.1\r\n", { kind: "http", target: "http://x/" }],
  ["M-SEARCH /  HTTP/1.1\r\n", { kind: "http", target: "/" }],
  ["", { kind: "incomplete" }],
  ["\r\n", { kind: "incomplete" }],
  ["G", { kind: "incomplete" }],
  ["GET", { kind: "incomplete" }],
  ["GET /", { kind: "incomplete" }],
  ["GET / HTTP/1.1\r", { kind: "incomplete" }],
  ["\x16", { kind: "tls" }],
  ["\x16\x03\x01\x02\x00", { kind: "tls" }],
  ["GET /\r\n", { kind: "invalid" }],
  ["GET / HTTP/2.0\r\n", { kind: "invalid" }],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", { kind: "invalid" }],
  ["GET / / HTTP/1.1\r\n", { kind: "invalid" }],
  [" GET / HTTP/1.1\r\n", { kind: "invalid" }],
  ["\0\0\0", { kind: "invalid" }],
  ["SSH-2.0-OpenSSH_9.2\r\n", { kind: "invalid" }],
  ["A".repeat(33), { kind: "invalid" }],
  ["GET\t/", { kind: "invalid" }],
])("%j", (text, expected) => {
  expect(line(text)).toEqual(expected);
});

test("where the bytes are cut makes no difference", () => {
  const target = fc.string({ unit: fc.constantFrom(..."/?&=sid%2Fab#\xe9"), minLength: 1 });
  const prefix = fc.constantFrom("", "\r\n", "\n\n");
  fc.assert(
    fc.property(prefix, target, fc.array(fc.nat(200)), (start, wanted, cuts) => {
      const bytes = Buffer.from(`${start}POST ${wanted} HTTP/1.1\r\nHost: x\r\n\r\n`, "latin1");
      const stops = [...new Set(cuts.map((cut) => cut % bytes.length))].sort((a, b) => a - b);
      let from = 0;
      for (const stop of [...stops, bytes.length]) {
        const result = readRequestLine(bytes.subarray(0, stop), from);
        from = stop;
        if (result.kind === "incomplete") continue;
        expect(result).toEqual({ kind: "http", target: wanted });
        return;
      }
      throw new Error("the whole head is still incomplete");
    }),
    { numRuns: 5_000 },
  );
});
