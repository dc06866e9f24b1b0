/**
 * Engine.IO clients that keep the bytes they get as they are: over WebSocket every frame with its header, over
 * long-polling every packet of each payload. For both revisions of the protocol, with and without binary (`b64`).
 * Runs in: tests.
 */

import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect, type Socket } from "node:net";
import { Changes } from "@holdfast/harness";

export interface RawOptions {
  readonly transport: "websocket" | "polling";
  readonly revision: 3 | 4;
  /** The client wants no binary: it gets base64. */
  readonly b64?: boolean;
  /** What a client of revision 4 sends to join the main namespace, as the server's parser has it. */
  readonly connectPacket: string | Buffer;
  /** More for the query, to be found in `socket.handshake.query`. */
  readonly query?: Record<string, string>;
}

/** A client that is connected to the main namespace. */
export interface RawClient {
  /** What came since the last call, up to the short item that has `marker` in it, which is left out. */
  until(marker: string): Promise<Buffer[]>;
  close(): void;
}

export async function openRaw(url: string, options: RawOptions): Promise<RawClient> {
  const inbox = new Inbox();
  const close =
    options.transport === "websocket" ? openWebSocket(url, options, inbox) : openPoll(url, options, inbox);
  // The engine's handshake, then the namespace's.
  await inbox.take((items) => (items.length >= 2 ? 2 : 0), "connection");
  return {
    until: async (marker) => {
      const indexOf = (items: readonly Buffer[]) => items.findIndex((item) => holds(item, marker)) + 1;
      return (await inbox.take(indexOf, `"${marker}"`)).slice(0, -1);
    },
    close,
  };
}

/** Whether the text is in a short packet, be it in base64. */
function holds(item: Buffer, text: string): boolean {
  if (item.length > 200) return false;
  if (item.includes(text)) return true;
  const base64 = item.toString("latin1").match(/b4?([A-Za-z0-9+/]+=*)$/)?.[1];
  return base64 !== undefined && Buffer.from(base64, "base64").includes(text);
}

/** What came and was not asked for yet. */
class Inbox {
  readonly #items: Buffer[] = [];
  readonly #changes = new Changes();
  #error: Error | undefined;

  push(item: Buffer): void {
    this.#items.push(item);
    this.#changes.tell();
  }

  /** Nothing more will come. */
  fail(error: Error): void {
    this.#error = error;
    this.#changes.tell();
  }

  /** Waits until `count` says how many to take. */
  async take(count: (items: readonly Buffer[]) => number, what: string): Promise<Buffer[]> {
    const taken = await this.#changes.until(what, () => {
      const found = count(this.#items);
      if (found === 0 && this.#error) throw this.#error;
      return found > 0 && found;
    });
    return this.#items.splice(0, taken);
  }
}

function queryOf({ transport, revision, b64, query }: RawOptions): string {
  const parameters = new URLSearchParams({
    EIO: String(revision),
    transport,
    ...(b64 && { b64: "1" }),
    ...query,
  });
  return `/socket.io/?${parameters}`;
}

function openWebSocket(url: string, options: RawOptions, inbox: Inbox): () => void {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(
    `GET ${queryOf(options)} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
      "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n",
  );
  let pending: Buffer = Buffer.alloc(0);
  let state: "head" | "open" | "connected" = "head";
  socket.on("error", (error) => inbox.fail(error));
  socket.on("data", (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    if (state === "head") {
      const end = pending.indexOf("\r\n\r\n");
      if (end === -1) return;
      if (!pending.subarray(0, end).includes(" 101 ")) inbox.fail(new Error(pending.toString("latin1")));
      pending = pending.subarray(end + 4);
      state = "open";
    }
    for (let size = frameSize(pending); size <= pending.length; size = frameSize(pending)) {
      inbox.push(pending.subarray(0, size));
      pending = pending.subarray(size);
      if (state === "connected") continue;
      state = "connected";
      if (options.revision === 4) sendMasked(socket, options.connectPacket);
    }
  });
  return () => socket.destroy();
}

/** Length of the frame at the beginning; Infinity while its header is incomplete. */
function frameSize(bytes: Buffer): number {
  if (bytes.length < 2) return Number.POSITIVE_INFINITY;
  const short = (bytes[1] as number) & 0x7f;
  if (short < 126) return 2 + short;
  if (short === 126) return bytes.length < 4 ? Number.POSITIVE_INFINITY : 4 + bytes.readUInt16BE(2);
  return bytes.length < 10 ? Number.POSITIVE_INFINITY : 10 + Number(bytes.readBigUInt64BE(2));
}

/** Sends a short message as clients must, masked; with a mask of zeros. */
function sendMasked(socket: Socket, message: string | Buffer): void {
  const payload = Buffer.from(message);
  const first = typeof message === "string" ? 0x81 : 0x82;
  socket.write(Buffer.concat([Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0]), payload]));
}

function openPoll(url: string, options: RawOptions, inbox: Inbox): () => void {
  const aborted = new AbortController();
  void poll(`${url}${queryOf(options)}`, options, inbox, aborted.signal).catch((error) => {
    if (!aborted.signal.aborted) inbox.fail(error);
  });
  return () => aborted.abort();
}

/** Keeps a poll waiting at the server, always. */
async function poll(base: string, options: RawOptions, inbox: Inbox, signal: AbortSignal): Promise<void> {
  const opened = await get(base, signal, options.revision);
  for (const packet of opened) inbox.push(packet);
  const { sid } = JSON.parse((opened[0] as Buffer).toString().slice(1)) as { sid: string };
  const session = `${base}&sid=${sid}`;
  if (options.revision === 4) {
    const { connectPacket: packet } = options;
    await exchange(session, signal, typeof packet === "string" ? packet : `b${packet.toString("base64")}`);
  }
  while (!signal.aborted) {
    for (const packet of await get(session, signal, options.revision)) inbox.push(packet);
  }
}

async function get(url: string, signal: AbortSignal, revision: 3 | 4): Promise<Buffer[]> {
  const { payload, type } = await exchange(url, signal);
  if (revision === 3)
    return type === "application/octet-stream" ? cutBinary(payload) : cutText(String(payload));
  return String(payload)
    .split("\x1e")
    .map((packet) => Buffer.from(packet));
}

/** One request on a connection of its own, so that none is reused while the server closes it. */
async function exchange(
  url: string,
  signal: AbortSignal,
  body?: string,
): Promise<{ payload: Buffer; type: string | undefined }> {
  const sent = request(url, { method: body === undefined ? "GET" : "POST", agent: false, signal });
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const chunks = (await response.toArray()) as Buffer[];
  const payload = Buffer.concat(chunks);
  if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${payload}`);
  return { payload, type: response.headers["content-type"] };
}

/** Revision 3: `<length in characters>:<packet>`, again and again. */
function cutText(payload: string): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < payload.length; ) {
    const colon = payload.indexOf(":", at);
    const end = colon + 1 + Number(payload.slice(at, colon));
    packets.push(Buffer.from(payload.slice(colon + 1, end)));
    at = end;
  }
  return packets;
}

/** Revision 3 with binary in the payload: `<0 or 1><length as digits><255><packet>`, again and again. */
function cutBinary(payload: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < payload.length; ) {
    const mark = payload.indexOf(255, at);
    const end = mark + 1 + Number([...payload.subarray(at + 1, mark)].join(""));
    packets.push(payload.subarray(mark + 1, end));
    at = end;
  }
  return packets;
}
