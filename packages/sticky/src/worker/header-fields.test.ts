import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import {
  answerFields,
  plainRequest,
  upgradeFields,
  writeHead,
  writeTrailers,
} from "../../dist/worker/header-fields.js";

const request = (url: string, rawHeaders: string[], httpVersion = "1.1") =>
  ({ method: "GET", url, rawHeaders, httpVersion }) as IncomingMessage;

const [CONNECTION, UPGRADE] = [
  ["connection", "keep-alive, Upgrade"],
  ["UPGRADE", "websocket"],
];

/** A request with these fields, as its server has it. */
const received = (rawHeaders: string[], more: object = {}) =>
  ({ ...request("/", rawHeaders), httpVersionMajor: 1, socket: {}, ...more }) as unknown as IncomingMessage;
const plain = (rawHeaders: string[], more?: object) => plainRequest(received(rawHeaders, more));

test("a request's fields go on as they came, in their order and spelling", () => {
  const raw = [
    "HOST",
    "x",
    "Connection",
    "close, X-Private",
    "X-Private",
    "1",
    "TE",
    "trailers",
    "x-ODD",
    "a  b",
  ];
  expect(writeHead(request("/a?b", [...raw, ":path", "/"]), ["Last", "1"])).toBe(
    "GET /a?b HTTP/1.1\r\nHOST: x\r\nConnection: close, X-Private\r\nX-Private: 1\r\nTE: trailers\r\n" +
      "x-ODD: a  b\r\nLast: 1\r\n\r\n",
  );
  expect(writeHead(request("/", [], "1.0"))).toBe("GET / HTTP/1.0\r\n\r\n");
});

test("a head that would become another one is not written", () => {
  for (const value of ["x\r\nEvil: 1", "x\nEvil: 1", "x\rEvil: 1", "x\r\n\r\nGET /evil"]) {
    expect(writeHead(request("/", ["Host", value]))).toBeUndefined();
    expect(writeHead(request(`/${value}`, []))).toBeUndefined();
    expect(writeTrailers(["X", value, "Y", "1"])).toBe("Y: 1\r\n");
  }
});

test.each([
  [[], "none"],
  [["Content-Length", "0"], "length"],
  [["CONTENT-LENGTH", "7"], "length"],
  [["Transfer-Encoding", "chunked"], "chunked"],
  [["Transfer-Encoding", "gzip, Chunked"], "chunked"],
])("%j tells clearly that the body's framing is %s, and goes on", (raw, framing) => {
  const { fields, ...rest } = plain(raw);
  expect(fields).toBe(raw);
  expect(rest).toEqual({ framing });
});

test.each([
  [["Transfer-Encoding", "", "Content-Length", "7"]],
  [["Content-Length", "7", "transfer-encoding", "chunked"]],
  [["Content-Length", "7", "Content-Length", "7"]],
  [["Content-Length", "7, 7"]],
  [["Content-Length", ""]],
  [["Content-Length", "+7"]],
  [["Transfer-Encoding", ""]],
  [["Transfer-Encoding", "chunked, identity"]],
  [["Transfer-Encoding", "chunked\tx"]],
  [["Transfer-Encoding", "\x0bchunked"]],
  [["Content-Length ", "7"]],
  [["transfer-encoding  ", "\x0bchunked"]],
  [["Transfer-Encoding", "gzip", "Transfer-Encoding", "chunked"], "gzip, chunked"],
  [["Transfer-Encoding", "gzip;q=1,\tchunked"], "gzip;q=1, chunked"],
])("%j is not clear to all parsers: the body goes on in chunks", (raw, coding: unknown = "chunked") => {
  expect(plain(["Host", "x", ...raw, "A", "1"])).toEqual({
    fields: ["Host", "x", "A", "1", "Transfer-Encoding", coding],
    framing: "chunked",
  });
});

test("a body whose length may be in a field that Node.js has dropped goes on in chunks", () => {
  const raw = ["Content-Length", "4", "A", "1"];
  const server = { maxHeadersCount: 2 };
  expect(plain(raw, { socket: { server } })).toEqual({
    fields: ["A", "1", "Transfer-Encoding", "chunked"],
    framing: "chunked",
  });
});

test.each([
  ["POST", ["A", "1", "Transfer-Encoding", "chunked"]],
  ["GET", ["A", "1"]],
])("a %s of HTTP/2 may have a body without a length", (method, fields) => {
  expect(plain(["A", "1"], { method, httpVersionMajor: 2 }).fields).toEqual(fields);
});

test("the largest values are looked at in no time", () => {
  const odd = `${"upgrade,".repeat(100_000)}\x80`;
  const startedAt = process.cpuUsage();
  expect(upgradeFields(received(["Connection", odd, ...UPGRADE]))).toEqual(["Connection", "Upgrade"]);
  plain(["Transfer-Encoding", odd, "Connection", odd, "Content-Length", `${"1".repeat(800_000)}x`]);
  // A second is a hundred times what it takes: what grows with the square of the length takes minutes.
  expect(process.cpuUsage(startedAt).user).toBeLessThan(1e6);
});

test.each([
  [["Host", "x", ...CONNECTION, ...UPGRADE], []],
  // Some versions of Node.js have all fields in `rawHeaders`, and the first ones in `headers`.
  [["Host", "x", "A", "1", "B", "2", ...CONNECTION, ...UPGRADE], []],
  [["Host", "x", "Connection", "close", ...CONNECTION, ...UPGRADE], []],
  [
    ["Host", "x", "A", "1", ...CONNECTION],
    ["Upgrade", "unknown"],
  ],
  [
    ["Host", "x", "Connection", "close", ...UPGRADE],
    ["Connection", "Upgrade"],
  ],
  [
    ["Host", "x", "A", "1", "B", "2"],
    ["Connection", "Upgrade", "Upgrade", "unknown"],
  ],
  // Lines were folded.
  [
    ["Connection", "Upgrade\tfolded", ...UPGRADE],
    ["Connection", "Upgrade"],
  ],
  // A parser may stop there.
  [
    ["Connection", "\x01 , upgrade", ...UPGRADE],
    ["Connection", "Upgrade"],
  ],
])("an upgrade of which %j were kept lacks %j", (rawHeaders, lacking) => {
  const socket = { server: { maxHeadersCount: 3 } };
  expect(upgradeFields(received(rawHeaders, { headers: {}, socket }))).toEqual(lacking);
});

test.each([[["Host", "x", "Connection", "close"]], [["Upgrade", "websocket"]], [["Connection", "Upgrade"]]])(
  "a request that is no upgrade goes on as it is: %j",
  (raw) => {
    expect(plain(raw).fields).toBe(raw);
  },
);

test.each(["connection", "Proxy-Connection", "Connection "])(
  "one that may be an upgrade to others, by %s, is none",
  (name) => {
    const raw = [name, "keep-alive, Upgrade", "UPGRADE", "websocket", "Host", "x", "upgrade", "h2c"];
    expect(plain(raw).fields).toEqual([name, "keep-alive, Upgrade", "Host", "x"]);
  },
);

test("of an answer, what concerns the connection between the workers stays behind", () => {
  const raw = [
    "Date",
    "x",
    "Connection",
    "keep-alive",
    "Keep-Alive",
    "timeout=5",
    "Transfer-Encoding",
    "chunked",
  ];
  const cookies = ["Set-Cookie", "a=1", "Set-Cookie", "b=2"];
  expect(answerFields([...raw, ...cookies], false)).toEqual(["Date", "x", ...cookies]);
  expect(answerFields(["Transfer-Encoding", "gzip, chunked"], false)).toEqual([
    "Transfer-Encoding",
    "gzip, chunked",
  ]);
  expect(answerFields(["connection", "x, Close"], false)).toEqual(["connection", "close"]);
  expect(answerFields(["connection", "close", "Upgrade", "h2c", "A", "1"], true)).toEqual(["A", "1"]);
});
