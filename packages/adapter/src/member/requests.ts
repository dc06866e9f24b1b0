/**
 * Requests that this worker has made and that are not settled.
 * Owns: the map, one deadline timer per entry, and the window of queries. Runs in: workers; in the primary for
 * its emitters.
 * Knows nothing of Socket.IO; the hub says whom it asked, members answer, each entry settles exactly once.
 */
import { channels } from "../diagnostics.js";
import { HoldfastError, type HoldfastErrorCode, messageOf, RequestError } from "../errors.js";
import { runApplication } from "../faults.js";
import type { MemberInfo } from "../member-info.js";
import type { FieldReader } from "../wire/field-reader.js";
import { ResponseFlag } from "../wire/frame.js";
import { readValue } from "../wire/values.js";
import { RequestWindow } from "./request-window.js";

export interface RequestOptions {
  /** Milliseconds until the request ends without the missing answers. */
  readonly timeoutMs: number;
  /**
   * Reads an answer.
   * @default reads a value
   */
  readonly read?: (fields: FieldReader) => unknown;
  /** Called for each answer. The application may be behind it, as behind `onSettled`. */
  onResponse(value: unknown): void;
  /** Called once: without an error when every member that was asked has answered or is gone. */
  onSettled(error: RequestError | HoldfastError | undefined): void;
}

/** made → sent → settled; made → settled (too late, closed, refused) */
interface Entry extends RequestOptions {
  readonly owner: object;
  /** By the clock of `performance`. */
  readonly madeAt: number;
  state: "made" | "sent";
  /** Members whose final answer is missing; undefined until the hub has said whom it asked. */
  missing: Map<number, MemberInfo> | undefined;
  /** Members that failed, with their messages. */
  readonly failures: string[];
  readonly responses: unknown[];
  readonly timer: NodeJS.Timeout;
}

export class Requests {
  readonly #entries = new Map<number, Entry>();
  readonly #window = new RequestWindow((id) => this.#entries.get(id)?.missing?.keys());
  #lastId = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** Whether the owner has requests that are not settled. */
  isWaitedForBy(owner: object): boolean {
    for (const entry of this.#entries.values()) if (entry.owner === owner) return true;
    return false;
  }

  /** Starts the deadline, which counts from the call; returns the id that goes on the wire. */
  open(owner: object, options: RequestOptions): number {
    // The field on the wire has 32 bits; after that many requests the first are long settled.
    this.#lastId = (this.#lastId + 1) >>> 0;
    const id = this.#lastId;
    const timer = setTimeout(() => this.#onDeadline(id), options.timeoutMs);
    const { timeoutMs, read, onResponse, onSettled } = options;
    const entry: Entry = {
      timeoutMs,
      ...(read && { read }),
      onResponse,
      onSettled,
      owner,
      madeAt: performance.now(),
      state: "made",
      missing: undefined,
      failures: [],
      responses: [],
      timer,
    };
    this.#entries.set(id, entry);
    return id;
  }

  /** Calls `send` when it is the turn of this query; see {@link RequestWindow}. */
  enqueue(id: number, send: () => void): void {
    this.#window.enter(id, send);
  }

  /** The request is about to be sent. @returns whether anybody still waits for it */
  sending(id: number): boolean {
    const entry = this.#entries.get(id);
    if (entry) entry.state = "sent";
    return entry !== undefined;
  }

  /** It could not be sent. */
  reject(id: number, error: HoldfastError): void {
    const entry = this.#entries.get(id);
    if (entry) this.#settle(id, entry, error);
  }

  /** Reads whom the hub has passed a request on to. */
  onAsked(fields: FieldReader): void {
    const id = fields.u32();
    const members: MemberInfo[] = [];
    while (!fields.done) members.push({ id: fields.u32(), workerId: fields.u32(), pid: fields.u32() });
    this.asked(id, members);
  }

  /** Reads an answer of a member. */
  onResponse(flags: number, fields: FieldReader): void {
    // The member that asked: this one.
    fields.skip(4);
    const id = fields.u32();
    const member = fields.u32();
    this.#window.onAnswer(id, member, fields.left);
    const entry = this.#entries.get(id);
    // It was settled while the answer was on its way.
    if (!entry) return;
    try {
      if ((flags & ResponseFlag.error) !== 0) return this.failed(id, member, messageOf(readValue(fields)));
      if (!fields.done) this.answered(id, (entry.read ?? readValue)(fields));
    } catch (error) {
      this.failed(id, member, messageOf(error));
      throw error;
    }
    if ((flags & ResponseFlag.final) !== 0) this.finished(id, member);
  }

  /** The hub has passed the request on to these members; to more of them, if it says so again. */
  asked(id: number, members: readonly MemberInfo[]): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    entry.missing ??= new Map();
    for (const member of members) entry.missing.set(member.id, member);
    this.#settleIfComplete(id, entry);
  }

  /** The hub itself has answered. */
  answeredByHub(id: number, value: unknown): void {
    this.answered(id, value);
    this.asked(id, []);
  }

  /** Reads what the hub says of itself. */
  onObserved(fields: FieldReader): void {
    const id = fields.u32();
    if (fields.done) return this.reject(id, tooMuch());
    this.answeredByHub(id, readValue(fields));
  }

  answered(id: number, value: unknown): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    entry.responses.push(value);
    runApplication(() => entry.onResponse(value));
  }

  /** The member has no more to say. */
  finished(id: number, member: number): void {
    const entry = this.#entries.get(id);
    if (!entry?.missing?.delete(member)) return;
    if (entry.missing.size === 0) this.#settleIfComplete(id, entry);
    else this.#window.onFinal(id);
  }

  /** The member could not carry the request out. */
  failed(id: number, member: number, message: string): void {
    this.#entries.get(id)?.failures.push(message);
    this.finished(id, member);
  }

  /** The member is gone: no request waits for it any more. */
  left(member: number): void {
    this.#window.forget(member);
    for (const id of [...this.#entries.keys()]) this.finished(id, member);
  }

  /** Ends one request without an outcome. */
  forget(id: number): void {
    const entry = this.#entries.get(id);
    if (entry) this.#remove(id, entry);
  }

  /** Ends the owner's requests with an error; every owner's by default. */
  fail(code: HoldfastErrorCode, message: string, owner?: object): void {
    const concerned = [...this.#entries].filter(([, entry]) => owner === undefined || entry.owner === owner);
    for (const [id] of concerned) this.#window.drop(id);
    for (const [id, entry] of concerned) {
      this.#settle(id, entry, new RequestError(code, message, missingOf(entry), entry.responses));
    }
  }

  #onDeadline(id: number): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    const missing = missingOf(entry);
    const message = lateMessage(entry, missing);
    const { responses } = entry;
    this.#settle(id, entry, new RequestError("HOLDFAST_ERR_REQUEST_TIMEOUT", message, missing, responses));
  }

  #settleIfComplete(id: number, entry: Entry): void {
    if (entry.missing?.size !== 0) return;
    const { failures, responses } = entry;
    const error =
      failures.length === 0
        ? undefined
        : new RequestError("HOLDFAST_ERR_REQUEST_FAILED", failures.join(" "), [], responses);
    this.#settle(id, entry, error);
  }

  #settle(id: number, entry: Entry, error: RequestError | HoldfastError | undefined): void {
    this.#remove(id, entry);
    if (channels.request.hasSubscribers) {
      channels.request.publish({ durationMs: performance.now() - entry.madeAt, error });
    }
    // One that throws must not keep the others from being told.
    runApplication(() => entry.onSettled(error));
  }

  #remove(id: number, entry: Entry): void {
    this.#entries.delete(id);
    clearTimeout(entry.timer);
    this.#window.leave(id);
  }
}

function tooMuch(): HoldfastError {
  return new HoldfastError(
    "HOLDFAST_ERR_MESSAGE_TOO_LARGE",
    "What the hub knows of all its members does not fit into one message. Raise maxMessageBytes where the hub is.",
  );
}

function missingOf({ missing }: Entry): MemberInfo[] {
  return [...(missing?.values() ?? [])];
}

function lateMessage({ state, timeoutMs, missing: asked }: Entry, missing: readonly MemberInfo[]): string {
  if (state === "made") {
    return (
      `The request was not sent within ${timeoutMs} ms: earlier ones of this worker wait for their answers, or the ` +
      "primary has not taken this worker in yet."
    );
  }
  if (!asked) {
    return (
      `The primary did not pass the request on within ${timeoutMs} ms. Is its event loop blocked, or that of a ` +
      "worker that takes its messages slowly?"
    );
  }
  return `No answer within ${timeoutMs} ms from ${missing.map(nameOf).join(", ")}.`;
}

function nameOf({ workerId, pid }: MemberInfo): string {
  // A host that has not said whom it has asked stands for its workers.
  return pid === 0 ? "another host" : `worker ${workerId} (pid ${pid})`;
}
