import fc from "fast-check";
import { expect, test } from "vitest";
import { ResponseParser } from "../../dist/worker/response-parser.js";

interface Result {
  ok: boolean;
  head?: [number, string, string[]];
  body: string;
  lastSeen: boolean;
  end?: boolean;
  trailers?: readonly [string, string][];
}

function parse(pieces: Buffer[], { isHead = false, finish = false } = {}): Result {
  const result: Result = { ok: true, body: "", lastSeen: false };
  const parser = new ResponseParser(
    {
      onHead: (...head) => {
        result.head = head;
      },
      onBody: (chunk, last) => {
        result.body += chunk.toString("latin1");
        result.lastSeen ||= last;
      },
      onEnd: (reusable, trailers) => {
        result.end = reusable;
        if (trailers.length > 0) result.trailers = trailers;
      },
    },
    isHead,
  );
  for (const piece of pieces) if (!parser.execute(piece)) return { ...result, ok: false };
  if (finish) result.ok = parser.finish();
  return result;
}

const bytes = (text: string): Buffer[] => [Buffer.from(text, "latin1")];

test("an answer with a length leaves in one piece", () => {
  expect(parse(bytes("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A:  b c \r\n\r\nok"))).toEqual({
    ok: true,
    head: [200, "OK", ["Content-Length", "2", "X-A", "b c"]],
    body: "ok",
    lastSeen: true,
    end: true,
  });
});

test.each([
  ["no reason phrase", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "", true],
  [
    "100 Continue first",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    "x",
    true,
  ],
  [
    "chunks, extensions and trailers",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
    "ab0123456789",
    true,
  ],
  ["Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "x", false],
  ["204", "HTTP/1.1 204 No Content\r\n\r\n", "", true],
  ["304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "", true],
])("%s", (_, text, body, end) => {
  expect(parse(bytes(text))).toMatchObject({ ok: true, body, end });
});

test("trailers come with the end", () => {
  const text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\nX:z \r\n\r\n";
  expect(parse(bytes(text))).toMatchObject({
    end: true,
    trailers: [
      ["X", "y"],
      ["X", "z"],
    ],
  });
});

test("a length beside chunks does not count, and is not told", () => {
  const text =
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
  expect(parse(bytes(text))).toMatchObject({
    head: [200, "OK", ["Transfer-Encoding", "gzip, chunked"]],
    body: "a",
    end: true,
  });
});

test("HEAD has no body, and the end may be the connection's", () => {
  expect(parse(bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), { isHead: true })).toMatchObject({
    end: true,
  });
  const text = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
  expect(parse(bytes(text), { finish: true })).toMatchObject({ ok: true, body: "until the end", end: false });
  expect(parse(bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"), { finish: true })).toMatchObject({
    ok: false,
  });
});

test.each([
  "HTTP/1.0 200 OK\r\n\r\n",
  "nonsense\r\n\r\n",
  "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
  "HTTP/1.1 101 Switching Protocols\r\n\r\n",
  "HTTP/1.1 099 Low\r\n\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
])("malformed: %j", (text) => {
  expect(parse(bytes(text)).ok).toBe(false);
});

test("where the bytes are cut makes no difference", () => {
  const body = fc.string({ unit: "binary-ascii", minLength: 1 });
  const framed = fc.oneof(
    body.map((text) => [text, `Content-Length: ${text.length}\r\n\r\n${text}`] as const),
    fc.array(body).map((parts) => {
      const chunks = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("");
      return [parts.join(""), `Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`] as const;
    }),
  );
  fc.assert(
    fc.property(framed, fc.array(fc.nat(300)), ([wanted, text], cuts) => {
      const all = Buffer.from(`HTTP/1.1 200 OK\r\n${text}`, "latin1");
      const stops = [...new Set([0, ...cuts.map((cut) => cut % all.length), all.length])].sort(
        (a, b) => a - b,
      );
      const pieces = stops.slice(1).map((stop, i) => all.subarray(stops[i], stop));
      expect(parse(pieces)).toMatchObject({ ok: true, body: wanted, end: true });
    }),
    { numRuns: 3_000 },
  );
});

test("nothing throws", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (rest) => {
      parse([Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Buffer.from(rest)]);
      parse([Buffer.from(rest)]);
    }),
  );
});
