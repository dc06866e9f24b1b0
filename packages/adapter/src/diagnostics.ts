/**
 * What happens, told on channels of `node:diagnostics_channel`. The debug log is a subscriber of them.
 * Owns: one table of channels, and the log's subscriptions, once for a process. Runs in: primary and workers.
 *
 * A message is made only if somebody has subscribed: every publisher asks `hasSubscribers` first.
 */
import diagnostics from "node:diagnostics_channel";
import debugModule from "debug";
import type { HoldfastError } from "./errors.js";
import type { MemberInfo } from "./member-info.js";
import { processWide } from "./process-wide.js";
import type { DeclineReason, LinkKind } from "./stats.js";

/**
 * The channels of this package, and what their messages have: `channel("holdfast:adapter:join")` of
 * `node:diagnostics_channel` has messages of the type `AdapterDiagnostics["holdfast:adapter:join"]`.
 * Messages are read-only, and shared by all subscribers.
 */
export interface AdapterDiagnostics {
  /** Hub: a worker's adapter has joined. Has `member` and `link`, the kind of its channel. */
  readonly "holdfast:adapter:join": JoinMessage;
  /** Hub: a member is gone. Has `member`. */
  readonly "holdfast:adapter:leave": MemberMessage;
  /** Hub: a member was cut off, since it took nothing for too long. Has `member`, `backlogBytes`. */
  readonly "holdfast:adapter:stalled": MemberMessage & { readonly backlogBytes: number };
  /** Hub: a client's session was restored. Has `member`, which has it now, `sid`, and `packets` that it had missed. */
  readonly "holdfast:adapter:restore": RestoreMessage;
  /** Hub: a client's session was not restored. Has `member`, which has asked, and `reason`. */
  readonly "holdfast:adapter:decline": MemberMessage & { readonly reason: DeclineReason };
  /**
   * Hub: another host has joined, perhaps anew, or is gone. Has `name`, which no other host has, `hostname`, which its
   * system calls it, and `state`: joined; ended, which is certain; or silent, when nothing was heard of it for too long.
   */
  readonly "holdfast:adapter:host": HostMessage;
  /**
   * Hub: whether this host is one of several. Has `state`: joined, perhaps anew, or alone, with the `error` that keeps it
   * from the others. Hosts that it finds when it joins are not told one by one.
   */
  readonly "holdfast:adapter:backplane": BackplaneMessage;
  /** Worker: this process has joined its hub. Has its `memberId`, and `link`. */
  readonly "holdfast:adapter:linked": LinkedMessage;
  /** Worker: a request to other workers has ended. Has `durationMs`, and the `error` that its caller got, if it got one. */
  readonly "holdfast:adapter:request": RequestMessage;
  /**
   * Something has failed, and was dealt with; what the application must hear is an event or an error besides. Has
   * `text`, and the `workerId` and `error` that it is about, if there are any.
   */
  readonly "holdfast:adapter:failure": FailureMessage;
}

interface MemberMessage {
  readonly member: MemberInfo;
}

interface JoinMessage extends MemberMessage {
  readonly link: LinkKind;
}

interface RestoreMessage extends MemberMessage {
  readonly sid: string;
  readonly packets: number;
}

interface HostMessage {
  readonly name: string;
  readonly hostname: string;
  readonly state: "joined" | "ended" | "silent";
}

interface BackplaneMessage {
  readonly state: "joined" | "alone";
  readonly error: HoldfastError | undefined;
}

interface LinkedMessage {
  readonly memberId: number;
  readonly link: string;
}

interface RequestMessage {
  readonly durationMs: number;
  readonly error: HoldfastError | undefined;
}

interface FailureMessage {
  readonly text: string;
  readonly workerId?: number;
  readonly error?: Error;
}

/** A channel that knows its messages. */
interface TypedChannel<Message> {
  readonly hasSubscribers: boolean;
  publish(message: Message): void;
}

type Name = keyof AdapterDiagnostics;
type Channels = {
  readonly [N in Name as N extends `holdfast:adapter:${infer Short}` ? Short : never]: TypedChannel<
    AdapterDiagnostics[N]
  >;
};

export const channels: Channels = {
  join: diagnostics.channel("holdfast:adapter:join"),
  leave: diagnostics.channel("holdfast:adapter:leave"),
  stalled: diagnostics.channel("holdfast:adapter:stalled"),
  restore: diagnostics.channel("holdfast:adapter:restore"),
  decline: diagnostics.channel("holdfast:adapter:decline"),
  host: diagnostics.channel("holdfast:adapter:host"),
  backplane: diagnostics.channel("holdfast:adapter:backplane"),
  linked: diagnostics.channel("holdfast:adapter:linked"),
  request: diagnostics.channel("holdfast:adapter:request"),
  failure: diagnostics.channel("holdfast:adapter:failure"),
};

/** Tells of a failure that the program goes on from. */
export function reportFailure(text: string, about: { workerId?: number; error?: Error } = {}): void {
  if (channels.failure.hasSubscribers) channels.failure.publish({ text, ...about });
}

const nameOf = ({ id, workerId }: MemberInfo) => `member ${id} (worker ${workerId})`;

/** Which part of the log a channel belongs to, and its line. */
const LOG: {
  readonly [N in Name]: readonly [part: string, line: (message: AdapterDiagnostics[N]) => string];
} = {
  "holdfast:adapter:join": [
    "hub",
    ({ member, link }) => `${nameOf(member)}, pid ${member.pid}, joined over ${link}`,
  ],
  "holdfast:adapter:leave": ["hub", ({ member }) => `${nameOf(member)} left`],
  "holdfast:adapter:stalled": [
    "hub",
    ({ member, backlogBytes }) => `${nameOf(member)} stalled with ${backlogBytes} bytes waiting`,
  ],
  "holdfast:adapter:restore": [
    "recovery",
    ({ member, sid, packets }) =>
      `session of socket ${sid} restored on worker ${member.workerId} with ${packets} packets`,
  ],
  "holdfast:adapter:decline": [
    "recovery",
    ({ member, reason }) => `a session was not restored on worker ${member.workerId}: ${reason}`,
  ],
  "holdfast:adapter:host": ["hosts", ({ name, state }) => `host ${name}: ${state}`],
  "holdfast:adapter:backplane": [
    "hosts",
    ({ state, error }) => (error ? `${state}: ${error.message}` : state),
  ],
  "holdfast:adapter:linked": ["member", ({ memberId, link }) => `joined as member ${memberId} over ${link}`],
  "holdfast:adapter:request": [
    "member",
    ({ durationMs, error }) =>
      `a request has ended after ${Math.round(durationMs)} ms: ${error?.code ?? "answered"}`,
  ],
  "holdfast:adapter:failure": [
    "failure",
    ({ text, workerId, error }) =>
      `${workerId === undefined ? "" : `worker ${workerId}: `}${text}${error ? `: ${error.message}` : ""}`,
  ],
};

function subscribeLog<N extends Name>(name: N): void {
  const [part, line] = LOG[name];
  const debug = debugModule(`holdfast:adapter:${part}`);
  // A subscriber costs every publisher, so the log is one only if it is on when the package is loaded.
  // Only `publish()` above has the channel, with messages of its type.
  if (debug.enabled) diagnostics.subscribe(name, (message) => debug(line(message as AdapterDiagnostics[N])));
}

// Two copies of the package publish on the same channels, and would print each line twice.
processWide("debug log", () => {
  for (const name of Object.keys(LOG) as Name[]) subscribeLog(name);
  return true;
});
