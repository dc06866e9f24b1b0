/**
 * What happens, told on channels of `node:diagnostics_channel`. The debug log is a subscriber of them.
 * Owns: one table of channels, and the log's subscriptions, once for a process. Runs in: primary and workers.
 *
 * A message is made only if somebody has subscribed: every publisher asks `hasSubscribers` first.
 */
import diagnostics from "node:diagnostics_channel";
import createDebug from "debug";
import { processWide } from "./process-wide.js";
import type { RefusalReason } from "./stats.js";

/**
 * The channels of this package, and what their messages have: `channel("holdfast:sticky:refusal")` of
 * `node:diagnostics_channel` has messages of the type `StickyDiagnostics["holdfast:sticky:refusal"]`.
 * Messages are read-only, and shared by all subscribers.
 */
export interface StickyDiagnostics {
  /** Primary: a worker takes connections of the server `name`. Has `workerId`, `slot`, `name`. */
  readonly "holdfast:sticky:ready": WorkerMessage;
  /**
   * Primary: a worker takes no connections of the server `name` any more. Has `workerId`, `slot`, `name`, and `returned`:
   * connections on their way there that go elsewhere.
   */
  readonly "holdfast:sticky:gone": WorkerMessage & { readonly returned: number };
  /** Primary: a worker takes nothing for now. Has `workerId`, `slot`, and `returned`: connections that go elsewhere. */
  readonly "holdfast:sticky:stalled": SlotMessage & { readonly returned: number };
  /** Primary: a worker that was stalled takes connections again. Has `workerId`, `slot`. */
  readonly "holdfast:sticky:resumed": SlotMessage;
  /**
   * Primary: a worker has taken a connection. Has `workerId`, `slot`, `name`, `durationMs` since the primary had read
   * enough of it, and `owner`: the worker that its session id names, if it names one.
   */
  readonly "holdfast:sticky:handover": HandoverMessage;
  /**
   * Primary: a connection got no worker. Has `name`, `reason`, `remoteAddress` (as the socket tells it), and `status`:
   * the HTTP status that it was answered with, if it was.
   */
  readonly "holdfast:sticky:refusal": RefusalMessage;
  /**
   * Worker: a request is passed on to the owner of its session. Has `name`, `owner`, `host`: the name of the owner's host
   * if it is another one, and `what`: request or upgrade.
   */
  readonly "holdfast:sticky:relay": RelayMessage;
  /** Worker: a connection goes to the owner of its session. Has `name`, `owner`. */
  readonly "holdfast:sticky:move": OwnerMessage;
  /**
   * Primary: a live session has moved to another worker. Has `name`, `workerId` that had it, `successor` that has it, and
   * `durationMs` since its connection came to the primary.
   */
  readonly "holdfast:sticky:landed": SessionMoveMessage & { readonly durationMs: number };
  /** Primary: the connection of a session was lost on its way to another worker. Has `name`, `workerId`, `successor`. */
  readonly "holdfast:sticky:lost": SessionMoveMessage;
  /**
   * Something has failed, and was dealt with; what the application must hear is an event or an error besides. Has
   * `stage`, `text`, and the `workerId` and `error` that it is about, if there are any.
   */
  readonly "holdfast:sticky:failure": FailureMessage;
}

interface SlotMessage {
  readonly workerId: number;
  readonly slot: number;
}

interface WorkerMessage extends SlotMessage {
  readonly name: string;
}

interface HandoverMessage extends WorkerMessage {
  readonly durationMs: number;
  readonly owner: number | undefined;
}

interface RefusalMessage {
  readonly name: string;
  readonly reason: RefusalReason;
  readonly remoteAddress: string | undefined;
  readonly status: number | undefined;
}

interface OwnerMessage {
  readonly name: string;
  readonly owner: number;
}

interface RelayMessage extends OwnerMessage {
  readonly host: string | undefined;
  readonly what: "request" | "upgrade";
}

interface SessionMoveMessage {
  readonly name: string;
  readonly workerId: number;
  readonly successor: number;
}

/** Where something failed. */
export type FailureStage =
  /** A connection on its way to another process. */
  | "lane"
  /** A message between primary and worker, or their versions. */
  | "channel"
  /** The private directory, or a socket in it. */
  | "rendezvous"
  /** The host port, another host's, or the proof of who calls. */
  | "hosts"
  /** A request or an upgrade on its way to the owner of its session, or the link that it takes. */
  | "relay"
  /** A session on its way to another worker. */
  | "move";

interface FailureMessage {
  readonly stage: FailureStage;
  readonly text: string;
  readonly workerId?: number;
  readonly error?: Error;
}

/** A channel that knows its messages. */
interface TypedChannel<Message> {
  readonly hasSubscribers: boolean;
  publish(message: Message): void;
}

type Name = keyof StickyDiagnostics;
type Channels = {
  readonly [N in Name as N extends `holdfast:sticky:${infer Short}` ? Short : never]: TypedChannel<
    StickyDiagnostics[N]
  >;
};

export const channels: Channels = {
  ready: diagnostics.channel("holdfast:sticky:ready"),
  gone: diagnostics.channel("holdfast:sticky:gone"),
  stalled: diagnostics.channel("holdfast:sticky:stalled"),
  resumed: diagnostics.channel("holdfast:sticky:resumed"),
  handover: diagnostics.channel("holdfast:sticky:handover"),
  refusal: diagnostics.channel("holdfast:sticky:refusal"),
  relay: diagnostics.channel("holdfast:sticky:relay"),
  move: diagnostics.channel("holdfast:sticky:move"),
  landed: diagnostics.channel("holdfast:sticky:landed"),
  lost: diagnostics.channel("holdfast:sticky:lost"),
  failure: diagnostics.channel("holdfast:sticky:failure"),
};

/** Tells of a failure that the program goes on from. */
export function reportFailure(
  stage: FailureStage,
  text: string,
  about: { workerId?: number; error?: Error } = {},
): void {
  if (channels.failure.hasSubscribers) channels.failure.publish({ stage, text, ...about });
}

/** Which part of the log a channel belongs to, and its line. */
const LOG: {
  readonly [N in Name]: readonly [part: string, line: (message: StickyDiagnostics[N]) => string];
} = {
  "holdfast:sticky:ready": [
    "roster",
    ({ workerId, name, slot }) => `worker ${workerId} is ready for "${name}" in slot ${slot}`,
  ],
  "holdfast:sticky:gone": [
    "roster",
    ({ workerId, name, returned }) =>
      `worker ${workerId} takes no more of "${name}"; ${returned} connections go elsewhere`,
  ],
  "holdfast:sticky:stalled": [
    "roster",
    ({ workerId, returned }) => `worker ${workerId} takes nothing; ${returned} connections go elsewhere`,
  ],
  "holdfast:sticky:resumed": ["roster", ({ workerId }) => `worker ${workerId} takes connections again`],
  "holdfast:sticky:handover": [
    "router",
    ({ workerId, name, durationMs }) =>
      `worker ${workerId} has a connection of "${name}" after ${durationMs.toFixed(1)} ms`,
  ],
  "holdfast:sticky:refusal": ["router", ({ remoteAddress, reason }) => `refused ${remoteAddress}: ${reason}`],
  "holdfast:sticky:relay": [
    "forwarder",
    ({ what, owner, host }) => `${what} relayed to worker ${owner}${host ? ` of host ${host}` : ""}`,
  ],
  "holdfast:sticky:move": ["forwarder", ({ owner }) => `connection moved to worker ${owner}`],
  "holdfast:sticky:landed": [
    "moves",
    ({ workerId, successor, durationMs }) =>
      `a session moved from worker ${workerId} to ${successor} in ${durationMs.toFixed(1)} ms`,
  ],
  "holdfast:sticky:lost": [
    "moves",
    ({ workerId, successor }) => `a session was lost on its way from worker ${workerId} to ${successor}`,
  ],
  "holdfast:sticky:failure": [
    "failure",
    ({ stage, text, error }) => `${stage}: ${text}${error ? `: ${error.message}` : ""}`,
  ],
};

function subscribeLog<N extends Name>(name: N): void {
  const [part, line] = LOG[name];
  const debug = createDebug(`holdfast:sticky:${part}`);
  // A subscriber costs every publisher, so the log is one only if it is on when the package is loaded.
  // Only `publish()` above has the channel, with messages of its type.
  if (debug.enabled) diagnostics.subscribe(name, (message) => debug(line(message as StickyDiagnostics[N])));
}

// Two copies of the package publish on the same channels, and would print each line twice.
processWide("debug log", () => {
  for (const name of Object.keys(LOG) as Name[]) subscribeLog(name);
  return true;
});
