/**
 * What a host has to say since its last call of Redis, as the arguments of one script.
 * Owns: copies of the frames. Runs in: where the hub is.
 */
import type { Frame, HostChange, StoredSession } from "../../hub/backplane.js";
import type { RedisArgument } from "./clients.js";
import { FrameList, NameTable } from "./entry.js";
import { addressField } from "./replies.js";

/** Frames that go one way: to hosts that want them, or to one host in any case. */
interface Route {
  readonly code: "w" | "a";
  readonly hosts: readonly string[];
  readonly frames: FrameList;
}

/** What a host tells, the newest of everything. */
interface MergedChange {
  readonly buckets: Map<number, boolean>;
  readonly namespaces: Map<string, string | undefined>;
  readonly left: number[];
  address: string | undefined;
}

type Operation = Route | RedisArgument[];

export class Batch {
  /** Given when it is sent; the same when it is sent again. */
  number = 0;
  /** The number that it had first: another one when it is sent again in another order. */
  firstNumber = 0;
  /** How often it was given to a client of Redis, and how often that has answered. */
  calls = 0;
  answers = 0;
  /** The newest change that the choice of hosts is based on; undefined if nothing was chosen. */
  version: number | undefined;
  /** The number of its first packet, once Redis has said so; otherwise 0. */
  firstRecord = 0;
  readonly #names = new NameTable();
  readonly #records = new FrameList();
  #operations: Operation[] = [];
  #bytes = 0;
  #change: MergedChange | undefined;

  get isEmpty(): boolean {
    return this.#operations.length === 0 && this.#records.count === 0 && !this.#change;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get recordCount(): number {
    return this.#records.count;
  }

  /** Whether it changes what other hosts know of this one. */
  get tells(): boolean {
    return this.#change !== undefined;
  }

  send(hosts: readonly string[], version: number, namespace: string, ...frame: Frame): void {
    this.version ??= version;
    this.#route("w", hosts).add(this.#names.place(namespace), ...this.#weighed(frame));
  }

  sendTo(host: string, namespace: string, ...frame: Frame): void {
    this.#route("a", [host]).add(this.#names.place(namespace), ...this.#weighed(frame));
  }

  record(namespace: string, ...frame: Frame): void {
    this.#records.add(this.#names.place(namespace), ...this.#weighed(frame));
  }

  /** A batch has one entry in the stream of changes, for all that is told with it. */
  tell({ wants, drops, namespaces, left, address }: HostChange): void {
    this.#change ??= { buckets: new Map(), namespaces: new Map(), left: [], address: undefined };
    for (const bucket of wants) this.#change.buckets.set(bucket, true);
    for (const bucket of drops) this.#change.buckets.set(bucket, false);
    for (const [name, value] of namespaces) this.#change.namespaces.set(name, value);
    this.#change.left.push(...left);
    this.#change.address = address ?? this.#change.address;
  }

  keepSession(key: string, session: Partial<StoredSession>, ttlMs: number): void {
    const fields: RedisArgument[] = [];
    if (session.sid !== undefined) fields.push("i", session.sid);
    if (session.rooms !== undefined) fields.push("r", session.rooms);
    if (session.data !== undefined) fields.push("d", session.data);
    if (session.validAfter !== undefined) fields.push("f", session.validAfter);
    this.#add(["k", key, String(ttlMs), String(fields.length / 2), ...fields]);
  }

  releaseSession(key: string, ttlMs: number): void {
    this.#add(["x", key, String(ttlMs)]);
  }

  forgetSession(key: string): void {
    this.#add(["f", key]);
  }

  /** The table of names, and the operations. */
  arguments(): RedisArgument[] {
    const args: RedisArgument[] = [this.#names.encode()];
    for (const operation of this.#operations) {
      if (Array.isArray(operation)) args.push(...operation);
      else args.push(...routeArguments(operation));
    }
    if (this.#change) args.push(...changeArguments(this.#change));
    if (this.#records.count > 0) {
      args.push("r", String(this.#records.count), String(this.firstNumber), this.#records.take());
    }
    return args;
  }

  /** The recoverable packets, as they are in the journal. */
  recordsEntry(): Buffer {
    return Buffer.concat([this.#names.encode(), this.#records.take()]);
  }

  /** Forgets frames for other hosts, which are of no use any more. @returns how many they were */
  dropFrames(): number {
    let dropped = 0;
    this.#keepOperations((operation) => {
      if (Array.isArray(operation)) return true;
      dropped += operation.frames.count;
      return false;
    });
    this.version = undefined;
    return dropped;
  }

  /** The keys of its frames say nothing any more. */
  voidKeys(): void {
    this.#records.voidKeys();
    for (const operation of this.#operations) if (!Array.isArray(operation)) operation.frames.voidKeys();
  }

  /** Forgets what other hosts should know: they are told everything anew. */
  dropChanges(): void {
    this.#change = undefined;
  }

  /** Forgets everything but the recoverable packets, and what places they had. */
  keepRecordsOnly(): void {
    this.firstRecord = 0;
    this.#keepOperations(() => false);
    this.#change = undefined;
    this.version = undefined;
  }

  /** Whether no client of Redis can still have its memory: one that gave no answer may. */
  get isBack(): boolean {
    return this.calls === 1 && this.answers === 1;
  }

  /** Nothing of it is needed any more, and nobody reads its arguments. */
  release(): void {
    this.#records.release();
    for (const operation of this.#operations) if (!Array.isArray(operation)) operation.frames.release();
    this.#operations = [];
  }

  #keepOperations(isKept: (operation: Operation) => boolean): void {
    this.#operations = this.#operations.filter(isKept);
  }

  #route(code: Route["code"], hosts: readonly string[]): FrameList {
    const last = this.#operations.at(-1);
    if (last !== undefined && !Array.isArray(last)) {
      if (last.code === code && sameItems(last.hosts, hosts)) return last.frames;
    }
    // The caller may use its list again.
    const route: Route = { code, hosts: [...hosts], frames: new FrameList() };
    this.#operations.push(route);
    return route.frames;
  }

  #weighed(frame: Frame): Frame {
    this.#bytes += frame[2] - frame[1];
    return frame;
  }

  #add(operation: RedisArgument[]): void {
    for (const argument of operation) this.#bytes += argument.length;
    this.#operations.push(operation);
  }
}

function routeArguments({ code, hosts, frames }: Route): RedisArgument[] {
  return code === "a"
    ? [code, ...hosts, frames.take()]
    : [code, String(hosts.length), ...hosts, frames.take()];
}

function changeArguments({ buckets, namespaces, left, address }: MergedChange): RedisArgument[] {
  const those = (isWanted: boolean) =>
    [...buckets].filter(([, is]) => is === isWanted).map(([bucket]) => bucket);
  const names = JSON.stringify([...namespaces].map(([name, value]) => [name, value ?? null]));
  return ["c", u32s(those(true)), u32s(those(false)), names, u32s(left), addressField(address)];
}

function sameItems(some: readonly string[], others: readonly string[]): boolean {
  if (some.length !== others.length) return false;
  for (let i = 0; i < some.length; i++) if (some[i] !== others[i]) return false;
  return true;
}

function u32s(numbers: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(numbers.length * 4);
  for (let i = 0; i < numbers.length; i++) bytes.writeUInt32LE(numbers[i] as number, i * 4);
  return bytes;
}
