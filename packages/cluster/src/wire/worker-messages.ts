/**
 * Messages between the supervisor (primary) and the workers, on the cluster's IPC channel.
 * Owns: the format; pure. Runs in: primary and workers.
 *
 * A message is `{ "holdfast:cluster": [kind, …fields] }`: one key tells it from everybody else's traffic.
 */
import type { ProcessSample } from "../process-health.js";

/** Version of these messages; both ends say theirs first. */
export const PROTOCOL_VERSION = 1;

const KEY = "holdfast:cluster";
const SAMPLE_FIELDS = 6;

/** Message kinds; the numbers are part of protocol version 1. */
export const Kind = {
  /** primary → worker: answers `join`. [version, milliseconds between beats, milliseconds that a drain may take] */
  welcome: 1,
  /** primary → worker: finish, and say `drained`. [milliseconds] */
  drain: 3,
  /** worker → primary: `joinCluster()` was called. [version] */
  join: 16,
  /**
   * worker → primary: the event loop turns. [resident memory, heap, heap limit in bytes, delay p50, p99 in microseconds,
   * utilization in thousandths, then figures of requests since the beat before: see `request-stats.ts`]
   */
  beat: 17,
  /** worker → primary: it has finished, and waits to be disconnected. [] */
  drained: 18,
} as const;

export type ToWorker =
  | {
      readonly kind: "welcome";
      readonly version: number;
      readonly beatMs: number;
      readonly drainMs: number;
    }
  | { readonly kind: "drain"; readonly timeoutMs: number };

export type ToPrimary =
  | { readonly kind: "join"; readonly version: number }
  | { readonly kind: "beat"; readonly sample: ProcessSample; readonly requests: readonly number[] }
  | { readonly kind: "drained" };

export function encodeToWorker(message: ToWorker): object {
  switch (message.kind) {
    case "welcome":
      return { [KEY]: [Kind.welcome, message.version, message.beatMs, message.drainMs] };
    case "drain":
      return { [KEY]: [Kind.drain, message.timeoutMs] };
  }
}

export function encodeToPrimary(message: ToPrimary): object {
  switch (message.kind) {
    case "join":
      return { [KEY]: [Kind.join, message.version] };
    case "beat":
      return { [KEY]: [Kind.beat, ...encodeSample(message.sample), ...message.requests] };
    case "drained":
      return { [KEY]: [Kind.drained] };
  }
}

/** What the message says; `undefined` if it is not one of ours. Never throws. */
export function decodeToWorker(message: unknown): ToWorker | undefined {
  const fields = fieldsOf(message);
  if (!fields) return undefined;
  const [kind, a, b, c] = fields;
  if (kind === Kind.welcome && isCount(a) && isCount(b) && isCount(c)) {
    return { kind: "welcome", version: a, beatMs: b, drainMs: c };
  }
  if (kind === Kind.drain && isCount(a)) return { kind: "drain", timeoutMs: a };
  return undefined;
}

/** What the message says; `undefined` if it is not one of ours. Never throws. */
export function decodeToPrimary(message: unknown): ToPrimary | undefined {
  const fields = fieldsOf(message);
  if (!fields) return undefined;
  const [kind, a] = fields;
  if (kind === Kind.join && isCount(a)) return { kind: "join", version: a };
  if (kind === Kind.beat) {
    const sample = decodeSample(fields.slice(1, 1 + SAMPLE_FIELDS));
    const requests = fields.slice(1 + SAMPLE_FIELDS);
    return sample && requests.every(isCount) ? { kind: "beat", sample, requests } : undefined;
  }
  if (kind === Kind.drained) return { kind: "drained" };
  return undefined;
}

function encodeSample(sample: ProcessSample): number[] {
  const { rssBytes, heapBytes, heapLimitBytes, loopP50Ms, loopP99Ms, utilization } = sample;
  return [rssBytes, heapBytes, heapLimitBytes, loopP50Ms * 1_000, loopP99Ms * 1_000, utilization * 1_000].map(
    Math.round,
  );
}

function decodeSample(fields: readonly unknown[]): ProcessSample | undefined {
  const [rssBytes, heapBytes, heapLimitBytes, p50, p99, thousandths] = fields;
  if (!isCount(rssBytes) || !isCount(heapBytes) || !isCount(heapLimitBytes)) return undefined;
  if (!isCount(p50) || !isCount(p99) || !isCount(thousandths)) return undefined;
  const utilization = Math.min(1, thousandths / 1_000);
  return { rssBytes, heapBytes, heapLimitBytes, loopP50Ms: p50 / 1_000, loopP99Ms: p99 / 1_000, utilization };
}

function fieldsOf(message: unknown): readonly unknown[] | undefined {
  if (typeof message !== "object" || message === null) return undefined;
  const fields = (message as Record<string, unknown>)[KEY];
  return Array.isArray(fields) ? fields : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
