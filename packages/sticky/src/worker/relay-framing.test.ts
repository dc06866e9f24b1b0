/** Bodies whose length lenient parsers find in odd places: no part of one is a request, and none is missed. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createNetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { AwaitedStreams } from "../../dist/worker/awaited-streams.js";
import { PrivateServer } from "../../dist/worker/private-server.js";
import { Relay } from "../../dist/worker/relay.js";

const releases: (() => void)[] = [];
afterEach(() => {
  for (const release of releases.splice(0)) release();
});

/** @returns what an owner behind a relay has got of what was sent, sorted */
async function relayed(text: string): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), "hf-"));
  const path = join(directory, "1");
  const got: string[] = [];
  const owner = createServer({ insecureHTTPParser: true }, async (request, response) => {
    got.push(`${request.method} ${request.url} ${Buffer.concat(await request.toArray())}`);
    response.end("fine");
  });
  const identity = { secret: "secret", numberOf: () => 1 };
  const own = new PrivateServer(identity, () => owner, new AwaitedStreams());
  const listener = createNetServer({ allowHalfOpen: true }, (socket) => own.accept(socket)).listen(path);
  const door = () => ({ number: 1, path, secret: "secret" });
  const host = { door, mayLive: async () => false, onTrouble: () => {} };
  const relay = new Relay(host, () => {}, { way: undefined });
  const front = createServer({ insecureHTTPParser: true }, (request, response) =>
    relay.request(1, "default", request, response, () => void response.writeHead(400).end()),
  ).listen(0, "127.0.0.1");
  releases.push(() => {
    relay.close();
    listener.close();
    front.close();
    front.closeAllConnections();
    rmSync(directory, { recursive: true, force: true });
  });
  await once(front, "listening");
  const socket = connect((front.address() as AddressInfo).port, "127.0.0.1");
  socket.resume().write(text);
  await once(socket, "close");
  return got.sort();
}

const LAST = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const INNER = "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n";
const MANY = "X: 1\r\n".repeat(1_100);

test.each([
  ["behind more fields than are kept", `Content-Length: 4\r\n${MANY}Transfer-Encoding: chunked`],
  ["beside a length", "Content-Length: 4\r\nTransfer-Encoding: chunked"],
  ["in a name with a blank", "Transfer-Encoding : chunked"],
  ["in two lines", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"],
])("chunks that are told of in the fields: %s", async (_, fields) => {
  const body = `abcd${INNER}`;
  const chunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  const got = await relayed(`POST /first HTTP/1.1\r\nHost: x\r\n${fields}\r\n\r\n${chunk}${LAST}`);
  // Versions of Node.js differ in what they refuse.
  if (got.length > 0) expect(got).toEqual(["GET /last ", `POST /first ${body}`]);
});

test.each(["Content-Length :", "Content-Length  :", "Transfer-Encoding:\r\nContent-Length:"])(
  "a length that is told by %j",
  async (field) => {
    const head = `POST /first HTTP/1.1\r\nHost: x\r\n${field} ${INNER.length}\r\n\r\n`;
    const got = await relayed(`${head}${INNER}${LAST}`);
    if (got.length > 0) expect(got).toEqual(["GET /last ", `POST /first ${INNER}`]);
  },
);
