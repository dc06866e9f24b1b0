import { expect, test } from "vitest";
import { endToEnd, writeHead } from "../../dist/worker/header-fields.js";

test("what concerns one connection only stays behind, the rest keeps its order and spelling", () => {
  const raw = [
    ...[
      "HOST",
      "x",
      "Connection",
      "close, X-Private, Content-Length",
      "X-Private",
      "1",
      "Keep-Alive",
      "timeout=5",
    ],
    ...["TE", "trailers", "Upgrade", "h2c", "Proxy-Connection", "x", "Transfer-Encoding", "chunked"],
    ...["Content-Length", "3", "x-ODD", "a", "X-Odd", "b", "Cookie", "a=1", ":path", "/"],
  ];
  expect(endToEnd(raw, "close, X-Private, Content-Length")).toEqual([
    ...["HOST", "x", "Content-Length", "3", "x-ODD", "a", "X-Odd", "b", "Cookie", "a=1"],
  ]);
});

test("a head is written as it was parsed", () => {
  expect(writeHead("GET", "/a?b", ["Host", "x", "Upgrade", "websocket"])).toBe(
    "GET /a?b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
  );
});

test("a head that would become another one is not written", () => {
  for (const value of ["x\r\nEvil: 1", "x\nEvil: 1", "x\rEvil: 1", "x\r\n\r\nGET /evil"]) {
    expect(writeHead("GET", "/", ["Host", value])).toBeUndefined();
    expect(writeHead("GET", `/${value}`, [])).toBeUndefined();
  }
});
