/**
 * Reads what Redis answers. It is taken for what it should be only after a look: whoever may write to Redis may have
 * written anything. Runs in: where the hub is.
 */
import type { HostChange, HostState } from "../../hub/backplane.js";

export function listOf(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply : [];
}

export function textOf(reply: unknown): string {
  if (Buffer.isBuffer(reply)) return reply.toString();
  return typeof reply === "string" ? reply : "";
}

export function bytesOf(reply: unknown): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  return Buffer.from(typeof reply === "string" ? reply : "", "latin1");
}

/** 0 if it is none. */
export function numberOf(reply: unknown): number {
  const number = typeof reply === "number" ? reply : Number(textOf(reply));
  return Number.isSafeInteger(number) && number >= 0 ? number : 0;
}

/** Texts that are names and values in turn. */
export function pairsOf(reply: unknown): Map<string, unknown> {
  const list = listOf(reply);
  const pairs = new Map<string, unknown>();
  for (let i = 0; i + 1 < list.length; i += 2) pairs.set(textOf(list[i]), list[i + 1]);
  return pairs;
}

/** The newest batch of this host that has been carried out. */
export interface LastBatch {
  readonly number: number;
  /** The number of its first packet; 0 if it had none. */
  readonly firstRecord: number;
}

export interface JoinReply {
  readonly isSame: boolean;
  readonly epoch: string;
  readonly seed: string;
  readonly secret: string;
  /** The number of the newest entry of any stream. */
  readonly number: number;
  readonly change: number;
  /** The number of the last packet. */
  readonly sequence: number;
  readonly lastBatch: LastBatch;
  readonly hosts: readonly HostState[];
}

export function readJoin(reply: readonly unknown[]): JoinReply {
  const [, how, epoch, seed, secret, number, change, sequence, lastBatch, ...hosts] = reply;
  const [batch, firstRecord] = textOf(lastBatch).split(":");
  return {
    isSame: textOf(how) === "same",
    epoch: textOf(epoch),
    seed: textOf(seed),
    secret: textOf(secret),
    number: numberOf(number),
    change: numberOf(change),
    sequence: numberOf(sequence),
    lastBatch: { number: numberOf(batch), firstRecord: numberOf(firstRecord) },
    hosts: hosts.map((each) => {
      const [host, address, buckets, namespaces] = listOf(each);
      const named = new Map<string, string>();
      for (const [name, value] of pairsOf(namespaces)) named.set(name, textOf(value));
      return {
        host: textOf(host),
        address: address === null ? undefined : textOf(address),
        buckets: bytesOf(buckets),
        namespaces: named,
      };
    }),
  };
}

export function readChange(fields: ReadonlyMap<string, unknown>): HostChange {
  return {
    wants: u32s(bytesOf(fields.get("w"))),
    drops: u32s(bytesOf(fields.get("d"))),
    namespaces: namesOf(textOf(fields.get("n"))),
    left: u32s(bytesOf(fields.get("l"))),
    address: addressOf(textOf(fields.get("a"))),
  };
}

/** An address in a change: behind a sign, since one that was taken back is empty. */
export function addressField(address: string | undefined): string {
  return address === undefined ? "" : `=${address}`;
}

function addressOf(field: string): string | undefined {
  return field === "" ? undefined : field.slice(1);
}

/** An entry of a stream. */
export interface StreamEntry {
  readonly number: number;
  readonly fields: ReadonlyMap<string, unknown>;
}

/** What `XREAD` answers: entries by the name of their stream; nothing when its time was up. */
export function readStreams(reply: unknown): Map<string, StreamEntry[]> {
  const streams = new Map<string, StreamEntry[]>();
  // RESP3 has a map here.
  const isMap = typeof reply === "object" && reply !== null && !Array.isArray(reply);
  for (const stream of isMap ? Object.entries(reply) : listOf(reply)) {
    const [name, entries] = listOf(stream);
    const read = listOf(entries).map((entry) => {
      const [id, fields] = listOf(entry);
      return { number: Number.parseInt(textOf(id), 10), fields: pairsOf(fields) };
    });
    streams.set(
      textOf(name),
      read.filter(({ number }) => Number.isSafeInteger(number)),
    );
  }
  return streams;
}

function u32s(bytes: Buffer): number[] {
  const numbers: number[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += 4) numbers.push(bytes.readUInt32LE(at));
  return numbers;
}

function namesOf(text: string): Map<string, string | undefined> {
  const names = new Map<string, string | undefined>();
  let pairs: unknown;
  try {
    pairs = JSON.parse(text);
  } catch {
    return names;
  }
  for (const pair of listOf(pairs)) {
    const [name, value] = listOf(pair);
    if (typeof name === "string") names.set(name, typeof value === "string" ? value : undefined);
  }
  return names;
}
