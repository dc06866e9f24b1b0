/**
 * A member of the hub, seen from itself: one link, shared by all namespaces of all servers of the process.
 * Owns: the link, the requests in flight, the interest that is not on the wire.
 * Runs in: workers; in the primary for its emitters.
 * Knows frames and namespaces, nothing of Socket.IO, and not how the link comes about.
 */
import debugModule from "debug";
import { HoldfastError, type MemberInfo } from "../errors.js";
import type { Link, LinkEvents } from "../link/contract.js";
import { Outbox } from "../link/outbox.js";
import { batchWrites } from "../socketio/write-batch.js";
import { FieldReader } from "../wire/field-reader.js";
import {
  FrameKind,
  frameFields,
  frameFlags,
  frameKind,
  frameNamespace,
  ResponseFlag,
  VOLATILE_SHARE,
} from "../wire/frame.js";
import { FrameReader } from "../wire/frame-reader.js";
import { NamespacePort, type PortHandlers } from "./namespace-port.js";
import { Requests } from "./requests.js";
import { SyncWaiters } from "./sync-waiters.js";

const debug = debugModule("holdfast:adapter:member");

/** Brings a member its link: across processes in a worker, within the process in the primary. */
export interface Connector {
  /**
   * Looks for the hub, when the first namespace opens and when a link is lost. Answers with `member.join()`,
   * or with `member.stayAlone()`; either may come again later.
   * @returns false when there is nobody to ask
   */
  connect(member: Member): boolean;
  /** The member needs no hub any more. */
  disconnect(): void;
  /** Whether the primary is there. */
  readonly connected: boolean;
}

const LOSS_GRACE_MS = 100;
/** How long the hub may believe that sockets are in rooms that they have left. */
const LATE_MS = 100;

export interface Admission {
  /** The member's id in the hub. */
  readonly member: number;
  readonly maxMessageBytes: number;
  readonly maxBacklogBytes: number;
}

/**
 * idle: no namespace is open. joining: the connector is at work. joined: frames flow. alone: there is no hub,
 * or it is gone; broadcasts stay local until the connector finds one.
 *
 * idle → joining → joined → idle; joining and joined → alone → joining
 */
type State = "idle" | "joining" | "joined" | "alone";

export class Member {
  readonly requests = new Requests();
  readonly #connector: Connector;
  readonly #ports = new Map<string, NamespacePort>();
  readonly #portsById = new Map<number, NamespacePort>();
  readonly #portsByToken = new Map<number, NamespacePort>();
  #state: State = "idle";
  #id = 0;
  #link: Link | undefined;
  #outbox: Outbox | undefined;
  #limits = { maxMessageBytes: 0, maxBacklogBytes: 0 };
  #lastToken = 0;
  #backlogReported = false;
  #lastHandle = 0;
  /** Why there is no hub; what requests fail with while alone. */
  #aloneBecause: HoldfastError | undefined;

  /** Namespaces with interest that is not on the wire. */
  #dirty: NamespacePort[] = [];
  #lateFlush: NodeJS.Timeout | undefined;
  readonly #syncWaiters = new SyncWaiters();

  constructor(connector: Connector) {
    this.#connector = connector;
  }

  get id(): number {
    return this.#id;
  }

  get state(): State {
    return this.#state;
  }

  get maxMessageBytes(): number {
    return this.#limits.maxMessageBytes;
  }

  get aloneBecause(): HoldfastError {
    return this.#aloneBecause ?? new HoldfastError("HOLDFAST_ERR_CLOSED", "The adapter has been closed.");
  }

  /**
   * Opens a namespace; the first one looks for the hub.
   * @throws {HoldfastError} `HOLDFAST_ERR_NAMESPACE_TAKEN`
   */
  open(name: string, openFlags: number, handlers: PortHandlers): NamespacePort {
    if (this.#ports.has(name)) {
      throw new HoldfastError(
        "HOLDFAST_ERR_NAMESPACE_TAKEN",
        `This process has two servers for "${name.replace("\n", "")}". Close the first one, or give one of them ` +
          'a scope of its own: createAdapter({ scope: "…" }).',
      );
    }
    const port = new NamespacePort(this, name, openFlags, handlers);
    this.#ports.set(name, port);
    if (this.#state === "idle") this.#connect();
    else if (this.#state === "joined") this.#openPort(port);
    return port;
  }

  close(port: NamespacePort): void {
    if (this.#ports.get(port.name) !== port) return;
    this.#ports.delete(port.name);
    this.#dirty = this.#dirty.filter((dirty) => dirty !== port);
    if (port.id !== 0) {
      this.#portsById.delete(port.id);
      this.#outbox?.begin(FrameKind.close, 0, port.id);
      this.#outbox?.end();
    }
    this.requests.fail("HOLDFAST_ERR_CLOSED", "The adapter was closed before all answers came.", port);
    if (this.#ports.size === 0) this.#stop();
  }

  /** A number for a session that no other session of this process has had. */
  nextHandle(): number {
    return ++this.#lastHandle;
  }

  /** The outbox with everything on it that has to go before the next frame; undefined without a hub. */
  beginFrame(kind: number, flags: number, namespaceId: number): Outbox | undefined {
    const outbox = this.#outbox;
    if (!outbox) return undefined;
    if (this.#dirty.length > 0) this.#writeInterest();
    outbox.begin(kind, flags, namespaceId);
    return outbox;
  }

  /** Whether more than the allowed backlog waits for the hub; volatile packets are allowed less. */
  isFull(isVolatile = false): boolean {
    const share = isVolatile ? VOLATILE_SHARE : 1;
    const isFull = (this.#outbox?.backlogBytes ?? 0) > this.#limits.maxBacklogBytes * share;
    if (!isFull && !isVolatile) this.#backlogReported = false;
    return isFull;
  }

  /**
   * The port has interest to report. It goes before the next frame, or at the end of the turn if somebody waits
   * for it; that sockets have left can wait for others who leave.
   */
  markDirty(port: NamespacePort): void {
    this.#dirty.push(port);
    this.#lateFlush ??= setTimeout(() => {
      this.#lateFlush = undefined;
      if (this.#dirty.length > 0) this.#outbox?.flush();
    }, LATE_MS).unref();
  }

  /** Settles when the hub acts on all interest up to now; undefined when it does already. */
  synced(): Promise<void> | undefined {
    if (this.#state === "alone" || this.#state === "idle") return undefined;
    if (this.#dirty.length > 0 || this.#portsByToken.size > 0 || this.#state === "joining") {
      this.#outbox?.schedule();
      return this.#syncWaiters.next();
    }
    return this.#syncWaiters.last;
  }

  /** Called by the connector: the hub has admitted this member. */
  join(admission: Admission, makeLink: (events: LinkEvents) => Link): void {
    if (this.#state !== "joining" && this.#state !== "alone") return;
    this.#limits = admission;
    this.#id = admission.member;
    this.#link = makeLink(this.#linkEvents(admission.maxMessageBytes));
    this.#outbox = new Outbox(this.#link, admission.maxBacklogBytes, {
      onFull: () => this.#onBacklogFull(),
      onFlush: () => this.#writeInterest(),
    });
    this.#state = "joined";
    this.#aloneBecause = undefined;
    debug("joined as member %d over %s", admission.member, this.#link.kind);
    for (const port of this.#ports.values()) this.#openPort(port);
  }

  /** Called by the connector: there is no hub, and why. */
  stayAlone(because: HoldfastError): void {
    if (this.#state === "idle") return;
    this.#withdraw(because);
    this.#report(because);
  }

  /** The hub is gone, or has cut this member off. */
  loseLink(): void {
    if (this.#state !== "joined") return;
    const lost = new HoldfastError(
      "HOLDFAST_ERR_LINK_LOST",
      "The link to the primary is gone, so broadcasts reach this worker's own clients only.",
    );
    this.#withdraw(lost);
    this.#connect();
    // A primary that ends takes the link a moment before the rest: nobody needs to hear of that.
    setTimeout(() => this.#connector.connected && this.#report(lost), LOSS_GRACE_MS).unref();
  }

  #withdraw(because: HoldfastError): void {
    this.#unlink();
    this.#state = "alone";
    this.#aloneBecause = because;
    this.requests.fail(because.code, because.message);
    for (const port of this.#ports.values()) port.onAlone();
  }

  #connect(): void {
    this.#state = "joining";
    if (!this.#connector.connect(this)) this.#state = "alone";
  }

  /** The last namespace is closed. */
  #stop(): void {
    this.#connector.disconnect();
    if (this.#state === "joined" && this.#outbox) {
      this.#outbox.begin(FrameKind.leave, 0, 0);
      this.#outbox.u32(this.#id);
      this.#outbox.end();
      this.#outbox.flush();
    }
    const link = this.#link;
    this.#link = undefined;
    this.#unlink();
    link?.end();
    this.#state = "idle";
  }

  #linkEvents(maxMessageBytes: number): LinkEvents {
    const reader = new FrameReader(
      (buffer, start, end) => this.#onFrame(buffer, start, end),
      maxMessageBytes,
    );
    return {
      onChunk: (chunk) => {
        try {
          batchWrites(() => reader.push(chunk));
        } catch (error) {
          this.#report(error as HoldfastError);
          this.loseLink();
        }
      },
      onEnd: () => this.loseLink(),
    };
  }

  #openPort(port: NamespacePort): void {
    const token = ++this.#lastToken;
    this.#portsByToken.set(token, port);
    port.writeOpen(token);
  }

  #onFrame(buffer: Buffer, start: number, end: number): void {
    try {
      this.#dispatch(buffer, start, end);
    } catch (error) {
      // Listeners of the application run in here. What they throw is uncaught, as anywhere; the link goes on.
      process.nextTick(() => {
        throw error;
      });
    }
  }

  #dispatch(buffer: Buffer, start: number, end: number): void {
    const kind = frameKind(buffer, start);
    const flags = frameFlags(buffer, start);
    const fields = new FieldReader(buffer, frameFields(buffer, start), end);
    switch (kind) {
      case FrameKind.broadcast:
      case FrameKind.command:
      case FrameKind.request: {
        const port = this.#portsById.get(frameNamespace(buffer, start));
        if (port) return port.onFrame(kind, flags, fields);
        // The namespace was closed while the frame was on its way.
        if (kind === FrameKind.request) this.#declineRequest(fields);
        else if (kind === FrameKind.command && fields.u32() > 0) {
          this.beginFrame(FrameKind.settled, 0, 0)?.end();
        }
        return;
      }
      case FrameKind.record:
      case FrameKind.placed:
      case FrameKind.restored:
      case FrameKind.fence:
        return this.#portsById.get(frameNamespace(buffer, start))?.onFrame(kind, flags, fields);
      case FrameKind.response:
        fields.skip(4);
        return NamespacePort.readResponse(this.requests, flags, fields);
      case FrameKind.opened:
        return this.#onOpened(frameNamespace(buffer, start), fields);
      case FrameKind.counted:
        return this.requests.answeredByHub(fields.u32(), fields.u32());
      case FrameKind.synced:
        return this.#syncWaiters.synced(fields.u32());
      case FrameKind.asked:
        return this.requests.asked(fields.u32(), readMembers(fields));
      case FrameKind.left:
        return this.requests.left(fields.u32());
      default:
        throw new HoldfastError(
          "HOLDFAST_ERR_BROKEN_FRAME",
          `The hub sent a frame of the unknown kind ${kind}.`,
        );
    }
  }

  #declineRequest(fields: FieldReader): void {
    const outbox = this.beginFrame(FrameKind.response, ResponseFlag.final, 0);
    outbox?.u32(fields.u32());
    outbox?.u32(fields.u32());
    outbox?.u32(this.#id);
    outbox?.end();
  }

  #onOpened(namespaceId: number, fields: FieldReader): void {
    const token = fields.u32();
    const port = this.#portsByToken.get(token);
    this.#portsByToken.delete(token);
    if (port && this.#ports.get(port.name) === port) {
      this.#portsById.set(namespaceId, port);
      port.onOpened(namespaceId, fields.rest().toString("latin1"));
    } else {
      // Closed before the hub answered.
      this.#outbox?.begin(FrameKind.close, 0, namespaceId);
      this.#outbox?.end();
    }
    if (this.#dirty.length === 0) this.#onInterestWritten();
  }

  #writeInterest(): void {
    const outbox = this.#outbox;
    if (!outbox || this.#dirty.length === 0) return;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const port of dirty) port.writeInterest(outbox, () => this.#syncWaiters.nextSequence());
    this.#onInterestWritten();
  }

  #onInterestWritten(): void {
    // A namespace that the hub does not know yet has still to report its rooms.
    if (this.#portsByToken.size === 0) this.#syncWaiters.written();
  }

  #onBacklogFull(): void {
    // Once until it has gone down, not at every flush.
    if (this.#backlogReported) return;
    this.#backlogReported = true;
    this.#report(this.backlogFull());
  }

  backlogFull(): HoldfastError {
    return new HoldfastError(
      "HOLDFAST_ERR_BACKLOG_FULL",
      `The primary does not take this worker's messages: more than ${this.#limits.maxBacklogBytes} bytes wait. ` +
        "Messages to other workers are dropped until it does. Look for what blocks the primary's event loop.",
    );
  }

  /** Releases the link and whatever waits for the hub's word. */
  #unlink(): void {
    this.#outbox?.discard();
    this.#outbox = undefined;
    this.#link?.close();
    this.#link = undefined;
    this.#portsById.clear();
    this.#portsByToken.clear();
    this.#dirty = [];
    clearTimeout(this.#lateFlush);
    this.#lateFlush = undefined;
    this.#syncWaiters.release();
    for (const port of this.#ports.values()) port.onUnlinked();
  }

  #report(error: HoldfastError): void {
    debug("%s: %s", error.code, error.message);
    for (const port of this.#ports.values()) {
      // Once for the process, not once for each namespace.
      port.onError(error);
      return;
    }
  }
}

function readMembers(fields: FieldReader): MemberInfo[] {
  const members: MemberInfo[] = [];
  while (!fields.done) members.push({ id: fields.u32(), workerId: fields.u32(), pid: fields.u32() });
  return members;
}
