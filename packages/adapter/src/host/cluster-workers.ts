/**
 * The workers of `node:cluster`, as the hub's host deals with them: the handshake, and each worker's link.
 * Owns: one object for each worker, the listeners on `cluster`. Runs in: primary.
 */
import cluster, { type Worker } from "node:cluster";
import type { Socket } from "node:net";
import { reportFailure } from "../diagnostics.js";
import type { Hub } from "../hub/hub.js";
import type { HubMember } from "../hub/hub-member.js";
import type { Link, LinkEvents } from "../link/contract.js";
import { IpcLink } from "../link/ipc.js";
import { pipeToWorker } from "../link/pipe.js";
import type { MemberInfo } from "../member-info.js";
import { VERSION } from "../version.js";
import { PROTOCOL_VERSION } from "../wire/frame.js";
import {
  type Hello,
  type IpcEnd,
  type IpcFrames,
  MESSAGE_KEY,
  type PipeFds,
  type PrimaryMessage,
  readWorkerMessage,
} from "../wire/handshake.js";
import { whenChannelEnds } from "./channel-end.js";
import { StdioPipes } from "./stdio-pipes.js";
import { WaitingWorkers } from "./waiting-workers.js";

/** How long what a process has sent that has ended is waited for: something else may hold its pipe or channel open. */
const EXIT_GRACE_MS = 1_000;

export class ClusterWorkers {
  readonly #hub: Hub;
  readonly #pipes: StdioPipes | undefined;
  readonly #waiting: WaitingWorkers;
  readonly #workers = new Map<number, ClusterWorker>();
  readonly #releases: (() => void)[] = [];

  /** @param withPipes whether workers that are forked from now on get pipes */
  constructor(hub: Hub, withPipes: boolean) {
    this.#hub = hub;
    this.#waiting = new WaitingWorkers(hub);
    this.#pipes = withPipes ? new StdioPipes() : undefined;
    this.#listen("fork", (worker) => this.#add(worker, this.#pipes?.of(worker)));
    this.#listen("message", (worker, message) => this.#of(worker)?.onMessage(message));
    this.#listen("disconnect", (worker) => this.#of(worker)?.onDisconnect());
    this.#listen("exit", (worker) => this.#of(worker)?.onExit());
    for (const worker of Object.values(cluster.workers ?? {})) if (worker) this.#add(worker)?.invite();
  }

  #listen(event: string, listener: (worker: Worker, message: unknown) => void): void {
    // First: when a listener of the application throws, Node.js calls none after it.
    cluster.prependListener(event, listener);
    this.#releases.push(() => void cluster.off(event, listener));
  }

  #add(worker: Worker, pipes?: PipeFds): ClusterWorker {
    const onGone = () => this.#workers.delete(worker.id);
    const added = new ClusterWorker(worker, this.#hub, this.#waiting, pipes, onGone);
    this.#workers.set(worker.id, added);
    return added;
  }

  #of(worker: Worker): ClusterWorker | undefined {
    return this.#workers.get(worker.id);
  }

  onLeave({ workerId }: MemberInfo): void {
    this.#workers.get(workerId)?.onLeave();
  }

  invite({ workerId }: MemberInfo): void {
    this.#workers.get(workerId)?.invite();
  }

  kill({ workerId }: MemberInfo): void {
    this.#workers.get(workerId)?.kill();
  }

  /** Releases the listeners and the cluster's settings; members and links are the hub's. */
  close(): void {
    for (const release of this.#releases.splice(0)) release();
    for (const worker of this.#workers.values()) worker.close();
    this.#workers.clear();
    this.#waiting.close();
    this.#pipes?.release();
  }
}

/**
 * out: its adapter has not joined, or has left. in: it is a member of the hub. returning: it has said hello
 * anew while the end of its earlier link is still to be read.
 *
 * out → in → out; in → returning → in
 */
type State =
  | { readonly kind: "out" }
  | { readonly kind: "in"; readonly member: HubMember }
  | { readonly kind: "returning"; readonly member: HubMember; readonly hello: Hello };

class ClusterWorker {
  readonly #worker: Worker;
  readonly #hub: Hub;
  readonly #waiting: WaitingWorkers;
  readonly #onGone: () => void;
  /** The descriptors of its pipes, until a link has used them up. */
  #pipes: PipeFds | undefined;
  /** Its link, if that is the cluster's IPC channel, on which this object listens. */
  #ipcLink: IpcLink | undefined;
  #state: State = { kind: "out" };
  /** Ends the wait for the hub to be ready for it. */
  #endWait: () => void = () => {};
  #stopWaiting: () => void = () => {};

  constructor(
    worker: Worker,
    hub: Hub,
    waiting: WaitingWorkers,
    pipes: PipeFds | undefined,
    onGone: () => void,
  ) {
    this.#worker = worker;
    this.#hub = hub;
    this.#waiting = waiting;
    this.#pipes = pipes;
    this.#onGone = onGone;
  }

  invite(): void {
    this.#send({ [MESSAGE_KEY]: "invite" });
  }

  kill(): void {
    this.#worker.process.kill("SIGKILL");
  }

  onMessage(raw: unknown): void {
    const message = readWorkerMessage(raw);
    if (!message) return;
    switch (message[MESSAGE_KEY]) {
      case "hello":
        return this.#onHello(message);
      case "withdraw":
        return this.#onWithdraw();
      case "no-pipe":
        this.#pipes = undefined;
        return this.invite();
      case "frames":
        return this.#ipcLink?.receive(message);
      case "end":
        return this.#ipcLink?.lost();
    }
  }

  /** The channel is gone: the end of an `ipc` link, while a pipe lives as long as the process. */
  onDisconnect(): void {
    this.#endWait();
    this.#ipcLink?.lost();
  }

  onExit(): void {
    this.#endWait();
    this.#pipes = undefined;
    const state = this.#state;
    if (state.kind === "out") return this.#onGone();
    this.#state = { kind: "in", member: state.member };
    this.#stopWaiting = whenChannelEnds(this.#worker, EXIT_GRACE_MS, () => this.#onChannelEnd(state.member));
  }

  #onChannelEnd(member: HubMember): void {
    this.#ipcLink?.lost();
    // A pipe's end arrives in order behind its data, unless something else holds it open.
    const timer = setTimeout(() => this.#hub.remove(member), EXIT_GRACE_MS).unref();
    this.#stopWaiting = () => clearTimeout(timer);
  }

  /** The link is closed, and with it the pipes: the next one of this worker uses the IPC channel. */
  onLeave(): void {
    const state = this.#state;
    this.#pipes = undefined;
    this.#ipcLink = undefined;
    this.#state = { kind: "out" };
    if (state.kind === "returning") this.#onHello(state.hello);
    else if (this.#worker.isDead()) this.#onGone();
  }

  close(): void {
    this.#endWait();
    this.#stopWaiting();
  }

  #onHello(hello: Hello): void {
    const { protocol } = hello;
    if (protocol !== PROTOCOL_VERSION) {
      reportFailure(`it speaks protocol ${protocol}, not ${PROTOCOL_VERSION}`, { workerId: this.#worker.id });
      return this.#send({ [MESSAGE_KEY]: "refusal", protocol: PROTOCOL_VERSION, version: VERSION });
    }
    this.#endWait();
    this.#endWait = this.#waiting.whenReady(
      () => this.#send({ [MESSAGE_KEY]: "starting" }),
      () => this.#admit(hello),
    );
  }

  /** Its last server was closed before it had taken a welcome. */
  #onWithdraw(): void {
    this.#endWait();
    const state = this.#state;
    if (state.kind === "returning") this.#state = { kind: "in", member: state.member };
    else if (state.kind === "in") this.#hub.remove(state.member);
  }

  #admit(hello: Hello): void {
    if (!this.#worker.isConnected()) return;
    const { probe, attempt } = hello;
    const state = this.#state;
    if (state.kind !== "out" && !this.#leaveEarlier(state.member, hello)) return;
    const identity = { workerId: this.#worker.id, pid: this.#worker.process.pid ?? 0 };
    const binary = probe instanceof Uint8Array;
    const member = this.#hub.admit(identity, (events) => this.#makeLink(binary, events));
    this.#state = { kind: "in", member };
    // Who is told of it may have closed the hub.
    if (this.#hub.has(member)) this.#welcome(member, attempt);
  }

  /** @returns whether the worker can be admitted anew now */
  #leaveEarlier(earlier: HubMember, hello: Hello): boolean {
    if (!this.#ipcLink) {
      this.#state = { kind: "returning", member: earlier, hello };
      return false;
    }
    // It said hello twice before its welcome, on its own and because it was invited: it takes the first.
    // Unless it has been told another seed since, which the next welcome has as well.
    if (earlier.framesIn === 0 && earlier.seedsTold === 0) {
      this.#welcome(earlier, hello.attempt);
      return false;
    }
    this.#hub.remove(earlier);
    // Who is told of it may have closed the hub.
    return !this.#hub.isClosed;
  }

  #welcome({ id }: HubMember, attempt: number): void {
    const link = this.#ipcLink
      ? ({ kind: "ipc", binary: this.#ipcLink.binary } as const)
      : ({ kind: "pipe", fds: this.#pipes as PipeFds } as const);
    this.#send({ [MESSAGE_KEY]: "welcome", attempt, member: id, link, ...this.#hub.welcome });
  }

  #makeLink(binary: boolean, events: LinkEvents): Link {
    if (this.#pipes) {
      const { stdio } = this.#worker.process;
      const { toHub, fromHub } = this.#pipes;
      return pipeToWorker(stdio[toHub] as Socket, stdio[fromHub] as Socket, events);
    }
    const send = (message: IpcFrames | IpcEnd, done: (error: Error | null) => void) =>
      this.#worker.send(message as never, done);
    this.#ipcLink = new IpcLink(send, binary, events);
    return this.#ipcLink;
  }

  #send(message: PrimaryMessage): void {
    if (!this.#worker.isConnected()) return;
    this.#worker.send(message as never, (error) => {
      if (error) reportFailure("no word to it", { workerId: this.#worker.id, error });
    });
  }
}
