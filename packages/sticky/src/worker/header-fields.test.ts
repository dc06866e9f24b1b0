import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import {
  answerFields,
  framingOf,
  plainFields,
  upgradeFields,
  writeHead,
  writeTrailers,
} from "../../dist/worker/header-fields.js";

const request = (url: string, rawHeaders: string[], httpVersion = "1.1") =>
  ({ method: "GET", url, rawHeaders, httpVersion }) as IncomingMessage;

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
  [["Transfer-Encoding", "gzip, chunked"], "chunked"],
  [["Content-Length", "7", "transfer-encoding", "chunked"], "chunked"],
])("the framing of %j", (raw, framing) => {
  expect(framingOf(raw)).toBe(framing);
});

const [CONNECTION, UPGRADE] = [
  ["connection", "keep-alive, Upgrade"],
  ["UPGRADE", "websocket"],
];
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
])("an upgrade of which %j were kept lacks %j", (rawHeaders, lacking) => {
  const socket = { server: { maxHeadersCount: 3 } };
  const upgrade = { ...request("/", rawHeaders), httpVersionMajor: 1, headers: {}, socket };
  expect(upgradeFields(upgrade as unknown as IncomingMessage)).toEqual(lacking);
});

test.each([
  [["Host", "x", "Connection", "close"], []],
  [["Upgrade", "websocket"], ["Upgrade"]],
  [["Connection", "Upgrade"], ["Connection"]],
  [
    ["connection", "keep-alive, Upgrade", "Host", "x", "UPGRADE", "websocket", "upgrade", "h2c"],
    ["connection", "Host"],
  ],
])("of a request that is no upgrade, %j, go on %j", (raw, names) => {
  const kept = plainFields(raw);
  if (names.length === 0) expect(kept).toBe(raw);
  else expect(kept).toEqual(names.flatMap((name) => [name, raw[raw.indexOf(name) + 1]]));
});

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
