/**
 * How a worker and the hub find each other: plain messages on the cluster's IPC channel, told from other
 * libraries' by one key. Runs in: primary and workers.
 *
 *     worker                    primary
 *       │ ◄─ invite ──────────────│  when the hub opens, to workers that were forked before
 *       │── hello ───────────────►│
 *       │ ◄─ welcome or refusal ──│  names the link; frames follow on it
 */

export const MESSAGE_KEY = "holdfast:adapter";

/** The worker wants to join. `probe` arrives as a Uint8Array only where the channel carries binary. */
export interface Hello {
  readonly [MESSAGE_KEY]: "hello";
  readonly protocol: number;
  readonly version: string;
  readonly probe: Uint8Array;
}

/** The worker's ends of its pipes. */
export interface PipeFds {
  readonly toHub: number;
  readonly fromHub: number;
}

export interface Welcome {
  readonly [MESSAGE_KEY]: "welcome";
  readonly member: number;
  readonly link:
    | { readonly kind: "pipe"; readonly fds: PipeFds }
    | { readonly kind: "ipc"; readonly binary: boolean };
  readonly maxMessageBytes: number;
  readonly maxBacklogBytes: number;
}

export interface Refusal {
  readonly [MESSAGE_KEY]: "refusal";
  readonly protocol: number;
  readonly version: string;
}

export interface Invite {
  readonly [MESSAGE_KEY]: "invite";
}

/** The worker could not open the pipe that the welcome named. */
export interface NoPipe {
  readonly [MESSAGE_KEY]: "no-pipe";
  readonly member: number;
}

/** A batch of frames on the `ipc` link: base64 where the channel carries no binary. */
export interface IpcFrames {
  readonly [MESSAGE_KEY]: "frames";
  readonly data: Uint8Array | string;
}

export type WorkerMessage = Hello | NoPipe | IpcFrames;
export type PrimaryMessage = Welcome | Refusal | Invite | IpcFrames;

/** Ours, or undefined for what other libraries send on the same channel. */
export function ours<M extends WorkerMessage | PrimaryMessage>(message: unknown): M | undefined {
  if (typeof message !== "object" || message === null || !(MESSAGE_KEY in message)) return undefined;
  return message as M;
}
