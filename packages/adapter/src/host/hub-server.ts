/**
 * The hub's end of a Unix socket: the handshake with those who connect, and each member's link.
 * Owns: the server, the connections whose handshake is not over. Runs in: hub process.
 */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { reportFailure } from "../diagnostics.js";
import type { HoldfastError, HoldfastErrorCode } from "../errors.js";
import type { Hub } from "../hub/hub.js";
import type { HubMember } from "../hub/hub-member.js";
import { UnixConnection, unixLink } from "../link/unix.js";
import type { MemberInfo } from "../member-info.js";
import { VERSION } from "../version.js";
import { FrameKind, PROTOCOL_VERSION } from "../wire/frame.js";
import { MESSAGE_KEY } from "../wire/handshake.js";
import {
  type Answer,
  encodeSocketMessage,
  type Greeting,
  type Join,
  MessageReader,
  readGreeting,
} from "../wire/socket-handshake.js";
import { processMark } from "./process-mark.js";
import { WaitingWorkers } from "./waiting-workers.js";

/** A worker says both of its words at once; this is for one that stands still meanwhile. */
const HANDSHAKE_MS = 10_000;
const BACKLOG = 4_096;

/** Why a hub is alone: no news when it no longer is. */
const UNTIL_JOINED = ["HOLDFAST_ERR_BACKPLANE_DOWN", "HOLDFAST_ERR_VERSION_MISMATCH"] as const;

interface Joining {
  readonly greeting: Join;
  readonly connection: UnixConnection;
}

/** A worker's connections, until there are both. */
interface Pair {
  join?: Joining;
  listen?: UnixConnection;
  /** Ends the wait for the hub to be ready for it. */
  endWait?: () => void;
}

export interface HubServerEvents {
  /** A member has left, or somebody has been refused, or has not finished its handshake. */
  onQuiet(): void;
  /** Somebody of another version wants to join. */
  onForeign(): void;
}

export class HubServer {
  readonly #hub: Hub;
  readonly #events: HubServerEvents;
  readonly #waiting: WaitingWorkers;
  #server: Server | undefined;
  /** Connections whose handshake is not over, each with the end of the patience with the worker. */
  readonly #open = new Map<UnixConnection, NodeJS.Timeout>();
  readonly #pairs = new Map<string, Pair>();
  /** By member id: how to know the process again. */
  readonly #marks = new Map<number, string>();
  /** By code: failures of the hub at which nobody was a member. */
  readonly #untold = new Map<HoldfastErrorCode, HoldfastError>();

  constructor(hub: Hub, events: HubServerEvents) {
    this.#hub = hub;
    this.#events = events;
    this.#waiting = new WaitingWorkers(hub);
  }

  /** Takes connections at `path`, and no longer where it did before. */
  async listen(path: string): Promise<void> {
    this.#server?.close();
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    // For this user alone, from the first moment on.
    const before = process.umask(0o177);
    server.listen({ path, backlog: BACKLOG });
    process.umask(before);
    await once(server, "listening");
    // It could not accept for want of descriptors, say: others are accepted when there are some.
    server.on("error", (error) => reportFailure("the hub's socket fails", { error }));
  }

  /** Whether somebody is about to join, or to be refused. */
  get isBusy(): boolean {
    return this.#open.size > 0;
  }

  /** Whether somebody wants to join as soon as the hub is ready. */
  get isAwaited(): boolean {
    return this.#waiting.count > 0;
  }

  onLeave({ id }: MemberInfo): void {
    // Who has left because it stalled is to be killed right after.
    queueMicrotask(() => this.#marks.delete(id));
    this.#events.onQuiet();
  }

  /** Ends the process with SIGKILL, if it certainly is the one that has joined: its number may be another's by now. */
  kill({ id, pid }: MemberInfo): void {
    const mark = this.#marks.get(id);
    if (!mark || mark !== processMark(pid)) return;
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      reportFailure(`a worker, pid ${pid}, was not ended`, { error: error as Error });
    }
  }

  /** The hub process is where nobody looks, so one of the members has to say it. */
  tell(error: HoldfastError): void {
    const [first] = this.#hub.members;
    if (first) notice(first, error);
    else this.#untold.set(error.code, error);
  }

  #tellUntold(member: HubMember): void {
    if (this.#hub.hostsStats?.state === "joined") for (const code of UNTIL_JOINED) this.#untold.delete(code);
    for (const error of this.#untold.values()) notice(member, error);
    this.#untold.clear();
  }

  /** Nobody needs to be asked to join again: a member whose link has ended connects anew. */
  invite(): void {}

  /** Nobody is accepted any more; the links are the hub's. */
  close(): void {
    this.#server?.close();
    for (const connection of [...this.#open.keys()]) this.#drop(connection);
    this.#waiting.close();
  }

  #accept(socket: Socket): void {
    const connection = UnixConnection.accepted(socket);
    const timer = setTimeout(() => this.#drop(connection), HANDSHAKE_MS);
    this.#open.set(connection, timer);
    socket.once("close", () => this.#drop(connection));
    const reader = new MessageReader();
    connection.readBy((chunk) => {
      const message = reader.push(chunk);
      if (!message) return;
      connection.readBy(ignore);
      const greeting = readGreeting(message.value, PROTOCOL_VERSION);
      if (greeting) this.#onGreeting(connection, greeting);
      else this.#drop(connection);
    });
  }

  #onGreeting(connection: UnixConnection, greeting: Greeting): void {
    if (greeting[MESSAGE_KEY] === "foreign") return this.#refuse(connection, greeting);
    const pair = this.#pairs.get(greeting.token) ?? {};
    this.#pairs.set(greeting.token, pair);
    // A worker says each once.
    if (pair[greeting[MESSAGE_KEY]]) return this.#drop(connection);
    if (greeting[MESSAGE_KEY] === "join") pair.join = { greeting, connection };
    else pair.listen = connection;
    if (pair.join && pair.listen) pair.endWait = this.#onPair(greeting.token, pair.join, pair.listen);
  }

  /** @returns ends its wait for the hub */
  #onPair(token: string, { greeting, connection }: Joining, listen: UnixConnection): () => void {
    const both = [connection, listen];
    // The worker has said all that it has to: from now on it waits for the hub.
    for (const each of both) clearTimeout(this.#open.get(each));
    return this.#waiting.whenReady(
      () => say(listen, { [MESSAGE_KEY]: "starting" }),
      () => {
        this.#pairs.delete(token);
        for (const each of both) this.#release(each);
        this.#admit(greeting, connection, listen);
      },
    );
  }

  #admit({ workerId, pid, processMark: mark }: Join, from: UnixConnection, to: UnixConnection): void {
    const member = this.#hub.admit({ workerId, pid }, (events) => unixLink(from, to, events));
    // Who is told of it may have closed the hub.
    if (!this.#hub.has(member)) return;
    const { id } = member;
    this.#marks.set(id, mark);
    const link = { kind: "unix" } as const;
    say(to, { [MESSAGE_KEY]: "welcome", attempt: 0, member: id, link, ...this.#hub.welcome });
    this.#tellUntold(member);
  }

  #refuse(connection: UnixConnection, { protocol, version }: { protocol: number; version: string }): void {
    reportFailure(`somebody of version ${version} speaks protocol ${protocol}, not ${PROTOCOL_VERSION}`);
    const refusal = { [MESSAGE_KEY]: "refusal", protocol: PROTOCOL_VERSION, version: VERSION } as const;
    connection.socket.end(encodeSocketMessage(refusal));
    this.#events.onForeign();
  }

  /** The handshake is over, or will never be. */
  #release(connection: UnixConnection): void {
    clearTimeout(this.#open.get(connection));
    this.#open.delete(connection);
  }

  #drop(connection: UnixConnection): void {
    if (!this.#open.has(connection)) return;
    this.#release(connection);
    connection.close();
    for (const [token, { join, listen, endWait }] of this.#pairs) {
      if (join?.connection !== connection && listen !== connection) continue;
      endWait?.();
      this.#pairs.delete(token);
    }
    this.#events.onQuiet();
  }
}

function say({ socket }: UnixConnection, message: Answer): void {
  socket.write(encodeSocketMessage(message));
}

function notice({ outbox }: HubMember, { code, message }: HoldfastError): void {
  outbox.begin(FrameKind.notice, 0, 0);
  outbox.text(code);
  outbox.text(message);
  outbox.end();
}

function ignore(): void {}
