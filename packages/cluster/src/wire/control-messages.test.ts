import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type ControlRequest,
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
  NAME,
} from "../../dist/wire/control-messages.js";
import { LineReader } from "../../dist/wire/line-reader.js";

const REQUESTS: readonly ControlRequest[] = [
  { command: "status" },
  { command: "reload" },
  { command: "rebalance" },
  { command: "scale", workers: 3 },
  { command: "stop", timeoutMs: undefined },
  { command: "stop", timeoutMs: 0 },
];

test.each(REQUESTS)("$command is read as it was written", (request) => {
  expect(decodeRequest(encodeRequest(request).trimEnd())).toEqual(request);
});

test("answers are read as they were written", () => {
  const answers = [
    { kind: "done" as const, result: { killed: 0 } },
    { kind: "failed" as const, code: "HOLDFAST_ERR_CLOSED", message: "a\nb" },
  ];
  for (const answer of answers) {
    const line = encodeAnswer(answer);
    expect(line.indexOf("\n")).toBe(line.length - 1);
    expect(decodeAnswer(line.trimEnd())).toEqual(answer);
  }
});

test("whatever comes is a request or a sentence, and nothing throws", () => {
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.json().map((json) => `{"version":1,"command":${json}}`),
  );
  fc.assert(
    fc.property(text, (line) => {
      const request = decodeRequest(line);
      expect(typeof request === "string" ? request : request.command).not.toBe("");
      decodeAnswer(line);
    }),
  );
});

test("another version is told apart", () => {
  expect(decodeRequest('{"version":2,"command":"stop"}')).toContain("version 1");
});

test("a name is no path", () => {
  for (const name of ["api", "a.b", "A_1-2", "x".repeat(64)]) expect(name).toMatch(NAME);
  for (const name of ["", ".", "..", ".a", "a/b", "a b", "a\n", "ä", "x".repeat(65)])
    expect(name).not.toMatch(NAME);
});

test("lines come whole, however the text is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string().map((line) => line.replaceAll("\n", ""))),
      fc.array(fc.nat(20)),
      (lines, cuts) => {
        let text = lines.map((line) => `${line}\n`).join("");
        const reader = new LineReader(1_000);
        const read: string[] = [];
        for (const cut of [...cuts, text.length]) {
          read.push(...(reader.push(text.slice(0, cut)) ?? []));
          text = text.slice(cut);
        }
        expect(read).toEqual(lines);
      },
    ),
  );
});

test("a line that is too long is told, complete or not", () => {
  for (const text of ["x".repeat(11), `${"x".repeat(11)}\n`, `ok\n${"x".repeat(11)}`]) {
    expect(new LineReader(10).push(text)).toBeUndefined();
  }
  expect(new LineReader(10).push(`${"x".repeat(10)}\n`)).toEqual(["x".repeat(10)]);
});
