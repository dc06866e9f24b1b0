/** Generated heads against the router's parsers. The generator is seeded: a failure comes again. */
import { expect, test } from "vitest";
import { createHeadReader, type Head } from "../../dist/primary/head.js";
import { decodeMark, NO_OWNER } from "../../dist/wire/owner-mark.js";
import { sessionIdOf } from "../../dist/wire/session-id.js";

/** The whole number belongs to `npm run test:tools`. */
const HEADS = process.env.HOLDFAST_WIDE === "1" ? 1_000_000 : 100_000;

/** Mulberry32. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const PIECES = [
  ...[
    "GET ",
    "POST ",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "OPTIONS * ",
    "\x16\x03\x01",
    "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
  ],
  ...[
    "PROXY UNKNOWN\r\n",
    "\r\n\r\n\0\r\nQUIT\n",
    "\x21\x11\x00\x0c",
    "/socket.io/?EIO=4&transport=polling",
    "&sid=xyAAAB0123",
  ],
  ...[
    "?sid=",
    "sid",
    "%73id=",
    "#",
    "http://a/",
    "//",
    " HTTP/1.1\r\n",
    " HTTP/1.0\n",
    " HTTP/9.9\r\n",
    "\r\n",
    "\n",
    "\r",
    "\0",
  ],
  ...[
    "Host: x\r\n",
    "X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n",
    "x-forwarded-for:",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
  ],
  ...["Transfer-Encoding: chunked\r\n", "\xff\xfe", " ", "\t", ":", ",", "A".repeat(300), "é", "\x7f"],
];

const READERS = [
  { proxyProtocol: false, requestLine: true, headerField: undefined },
  { proxyProtocol: true, requestLine: true, headerField: undefined },
  { proxyProtocol: true, requestLine: false, headerField: undefined },
  { proxyProtocol: false, requestLine: true, headerField: "x-forwarded-for" },
  { proxyProtocol: true, requestLine: true, headerField: "forwarded" },
] as const;

test(`${HEADS} generated heads: nothing throws, and where they are cut makes no difference`, {
  timeout: 300_000,
}, () => {
  const random = createRandom(20_250_101);
  const readers = READERS.map((needs) => createHeadReader(needs));
  const kinds = new Map<string, number>();
  for (let i = 0; i < HEADS; i++) {
    let text = "";
    for (let count = 1 + random(9); count > 0; count--) text += PIECES[random(PIECES.length)];
    const bytes = Buffer.from(text, "latin1");
    for (let mutations = random(3); mutations > 0; mutations--) bytes[random(bytes.length)] = random(256);
    const read = readers[random(readers.length)];
    if (!read) throw new Error("unreachable: each of these needs something");
    const whole = read(bytes, 0);
    const cut = random(bytes.length);
    const first = read(bytes.subarray(0, cut), 0);
    // What was decided early stays decided; what was not is decided the same with the rest.
    if (first !== undefined) expect(summary(first)).toEqual(summary(whole));
    else if (i % 4 === 0) expect(summary(read(bytes, cut))).toEqual(summary(whole));
    kinds.set(whole?.kind ?? "incomplete", (kinds.get(whole?.kind ?? "incomplete") ?? 0) + 1);
    if (whole?.target === undefined) continue;
    const owner = decodeMark("xy", sessionIdOf(whole.target) ?? "");
    if (owner < NO_OWNER) throw new Error(`owner ${owner} of ${whole.target}`);
  }
  // Every way through the parsers was taken.
  expect([...kinds.keys()].sort()).toEqual([
    "http",
    "incomplete",
    "invalid",
    "invalid-proxy-header",
    "tls",
    "unread",
  ]);
});

function summary(head: Head | undefined): string {
  return head === undefined
    ? "incomplete"
    : `${head.kind} ${head.skip} ${head.target} ${head.peer?.address} ${head.forwarded}`;
}
