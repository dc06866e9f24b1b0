/**
 * A member of the hub, seen from itself: one link, shared by all namespaces of all servers of the process.
 * Owns: the link, the requests in flight, the interest that is not on the wire.
 * Runs in: workers; in the primary for its emitters.
 * Knows frames and namespaces, nothing of Socket.IO, and not how the link comes about.
 *
 * Longer than other files: the member's states, and all that leads from one to another, are read together.
 */
import { channels, reportFailure } from "../diagnostics.js";
import { HoldfastError, type HoldfastErrorCode } from "../errors.js";
import { throwUncaught } from "../faults.js";
import type { Link, LinkEvents } from "../link/contract.js";
import type { Outbox } from "../link/outbox.js";
import { afterSilence } from "../silence.js";
import type { HubStats } from "../stats.js";
import { FieldReader, isBrokenMessage } from "../wire/field-reader.js";
import {
  FrameKind,
  frameFields,
  frameFlags,
  frameKind,
  frameNamespace,
  ResponseFlag,
} from "../wire/frame.js";
import type { Backlog } from "./backlog.js";
import { type Admission, HubLink } from "./hub-link.js";
import { HubWatch, hubSilent } from "./hub-watch.js";
import { InterestSync } from "./interest-sync.js";
import { NamespacePort } from "./namespace-port.js";
import type { InterestReporter, MemberState, PortHandlers, PortHost } from "./port-contract.js";
import { Requests } from "./requests.js";

/** Brings a member its link: across processes, or within one. */
export interface Connector {
  /**
   * Looks for the hub, when the first namespace opens and when a link is lost. Answers with `member.join()`,
   * or with `member.stayAlone()`; either may come again later.
   * @returns false when there is nobody to ask
   */
  connect(member: Member): boolean;
  /** The member needs no hub any more. @returns a promise where that ends a hub that other hosts know */
  disconnect(): Promise<void> | void;
  /** Whether the loss of the link is worth a word: it is not when the primary is gone, too. */
  readonly connected: boolean;
  /** Whether to look for another hub when this one has said goodbye; otherwise a new one invites. */
  readonly looksOn: boolean;
  /** Words for where the hub is; undefined where it is in this process, and is not watched. */
  readonly hubPlace?: string;
}

const LOSS_GRACE_MS = 100;

export class Member implements PortHost {
  readonly requests = new Requests();
  readonly #connector: Connector;
  readonly #workOff: (work: () => void) => void;
  readonly #interest = new InterestSync();
  readonly #watch = new HubWatch({
    ask: () => this.#link?.ping(),
    onSilent: () => this.#report(hubSilent(this.#connector.hubPlace ?? "")),
  });
  readonly #ports = new Map<string, NamespacePort>();
  readonly #portsById = new Map<number, NamespacePort>();
  readonly #portsByToken = new Map<number, NamespacePort>();
  #state: MemberState = "idle";
  /** Undefined unless the state is `joined`. */
  #link: HubLink | undefined;
  /** The name of the hub that this member has, or had last. */
  #hub = "";
  /** Whether it has come back to the hub that it had. */
  #isBack = false;
  #lastToken = 0;
  #lastHandle = 0;
  /** Why there is no hub; what requests fail with while alone. */
  #aloneBecause: HoldfastError | undefined;

  /** @param workOff gets the work on each chunk of frames to do: what it leads to can be put together */
  constructor(connector: Connector, workOff: (work: () => void) => void = (work) => work()) {
    this.#connector = connector;
    this.#workOff = workOff;
  }

  get id(): number {
    return this.#link?.memberId ?? 0;
  }

  get state(): MemberState {
    return this.#state;
  }

  get maxMessageBytes(): number {
    return this.#link?.maxMessageBytes ?? 0;
  }

  get roomSeed(): string {
    return this.#link?.roomSeed ?? "";
  }

  get isBack(): boolean {
    return this.#isBack;
  }

  get seeds(): number {
    return this.#link?.seeds ?? 0;
  }

  get aloneBecause(): HoldfastError {
    return this.#aloneBecause ?? new HoldfastError("HOLDFAST_ERR_CLOSED", "The adapter has been closed.");
  }

  /**
   * Opens a namespace; the first one looks for the hub.
   * @throws {HoldfastError} `HOLDFAST_ERR_NAMESPACE_TAKEN`
   */
  open(name: string, openFlags: number, handlers: PortHandlers): NamespacePort {
    this.#ports.get(name)?.giveWay();
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

  /**
   * What the hub knows, and how its process is.
   * @throws {HoldfastError} the code of a request, as it is rejected with
   */
  hubStats(timeoutMs: number): Promise<HubStats> {
    const port = [...this.#ports.values()].find(({ isRefused }) => !isRefused);
    if (port) return port.requests.hubStats(timeoutMs);
    return Promise.reject(
      new HoldfastError(
        "HOLDFAST_ERR_CLOSED",
        "hubStats() was called on an adapter that no server has. Give it to io.adapter() first.",
      ),
    );
  }

  close(port: Parameters<PortHost["close"]>[0]): Promise<void> | void {
    if (this.#ports.get(port.name) !== port) return;
    this.#ports.delete(port.name);
    if (port.id !== 0) {
      this.#portsById.delete(port.id);
      // The rooms that it takes back go before, and with them what others wait for.
      port.withdraw();
      this.beginFrame(FrameKind.close, 0, port.id)?.end();
    }
    this.requests.fail("HOLDFAST_ERR_CLOSED", "The adapter was closed before all answers came.", port);
    if (this.#ports.size === 0) return this.#stop();
  }

  /** A number for a session that no other session of this process has had. */
  nextHandle(): number {
    return ++this.#lastHandle;
  }

  beginFrame(kind: number, flags: number, namespaceId: number): Outbox | undefined {
    this.#interest.write();
    return this.#link?.begin(kind, flags, namespaceId);
  }

  beginAnswer(asker: number, flags: number, namespaceId: number): Outbox | undefined {
    this.#interest.write();
    return this.#link?.beginAnswer(asker, flags, namespaceId);
  }

  endFrame(): void {
    this.#link?.endFrame();
  }

  get backlog(): Backlog | undefined {
    return this.#link?.backlog;
  }

  /** Hands what waits for the end of this turn to the link now. */
  flush(): void {
    this.#link?.outgoing.flush();
  }

  /** Does so if something is among it that clients may be told of. One function for all who want to call it. */
  readonly flushDeeds = (): void => this.#link?.outgoing.flushDeeds();

  markDirty(port: InterestReporter): void {
    this.#interest.markDirty(port);
  }

  synced(): Promise<void> | undefined {
    if (this.#state === "alone" || this.#state === "idle") return undefined;
    return this.#interest.synced(this.#state === "joined");
  }

  /**
   * Settles when `known` does, which waits for the hub; or as soon as the hub is told to be silent. One function for all
   * who want to call it.
   */
  readonly orSilent = (known: Promise<unknown>): Promise<void> => this.#watch.orSilent(known);

  /** Called by the connector: the hub has admitted this member. */
  join(admission: Admission, makeLink: (events: LinkEvents) => Link): void {
    if (this.#state !== "joining" && this.#state !== "alone") return;
    this.#link = new HubLink(admission, makeLink, {
      onHeard: () => this.#watch.heard(),
      onFrame: (buffer, start, end) => this.#onFrame(buffer, start, end),
      onLost: (cause) => {
        if (cause) this.#report(cause);
        this.loseLink();
      },
      onFull: (error) => this.#report(error),
      onFlush: () => this.#interest.write(),
      workOff: this.#workOff,
    });
    this.#isBack = admission.hub === this.#hub;
    this.#hub = admission.hub;
    this.#interest.open(this.#link.outgoing);
    this.#state = "joined";
    if (this.#connector.hubPlace !== undefined) this.#watch.start();
    this.#aloneBecause = undefined;
    if (channels.linked.hasSubscribers) channels.linked.publish({ memberId: this.id, link: this.#link.kind });
    for (const port of this.#ports.values()) this.#openPort(port);
  }

  /** Called by the connector: there is no hub, and why. */
  stayAlone(because: HoldfastError): void {
    if (this.#state === "idle") return;
    this.#withdraw(because);
    this.#onNoHub();
    this.#report(because);
  }

  /** Called by the connector: there is nobody to ask any more, and the application knows from elsewhere. */
  giveUp(): void {
    if (this.#state !== "joining") return;
    this.#withdraw(linkLost());
    this.#onNoHub();
  }

  /** Called by the connector: there is a hub, but not as this process wants it. */
  warn(error: HoldfastError): void {
    this.#report(error);
  }

  /** The link is gone: with the primary, or because the hub has cut this member off. */
  loseLink(): void {
    if (this.#state !== "joined") return;
    const lost = linkLost();
    this.#withdraw(lost);
    this.#connect();
    this.#reportLoss(lost);
  }

  /** The hub has been closed. */
  #onGoodbye(): void {
    if (this.#connector.looksOn) return this.loseLink();
    const closed = new HoldfastError(
      "HOLDFAST_ERR_LINK_LOST",
      "The link to the hub is gone because the primary has closed it: broadcasts and commands reach this worker's own " +
        "clients only, until setupPrimary() of @holdfast/adapter is called again.",
    );
    this.#withdraw(closed);
    this.#onNoHub();
    this.#reportLoss(closed);
  }

  /** A primary that ends takes the link a moment before the rest: nobody needs to hear of that. */
  #reportLoss(error: HoldfastError): void {
    afterSilence(LOSS_GRACE_MS, () => this.#connector.connected && this.#report(error));
  }

  /** Called by the connector: another hub takes the place of this one, which is left with a goodbye. */
  move(): void {
    if (this.#state !== "joined") return;
    const link = this.#link;
    this.#link = undefined;
    this.#withdraw(
      new HoldfastError("HOLDFAST_ERR_LINK_LOST", "This process has moved to another hub. Ask again."),
    );
    this.#state = "joining";
    link?.leave();
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
    if (this.#connector.connect(this)) return;
    this.#state = "alone";
    this.#onNoHub();
  }

  #onNoHub(): void {
    for (const port of this.#ports.values()) port.onNoHub();
  }

  /** The last namespace is closed. */
  #stop(): Promise<void> | void {
    const ended = this.#connector.disconnect();
    const link = this.#link;
    this.#link = undefined;
    this.#unlink();
    this.#state = "idle";
    link?.leave();
    return ended;
  }

  #openPort(port: NamespacePort): void {
    const token = ++this.#lastToken;
    if (!port.writeOpen(token)) return;
    this.#portsByToken.set(token, port);
    this.#interest.onOpening();
  }

  #onFrame(buffer: Buffer, start: number, end: number): void {
    try {
      this.#dispatch(buffer, start, end);
    } catch (error) {
      if (isBrokenMessage(error)) this.#report(error);
      // Listeners of the application run in here.
      else throwUncaught(error);
    }
  }

  #dispatch(buffer: Buffer, start: number, end: number): void {
    const kind = frameKind(buffer, start);
    const flags = frameFlags(buffer, start);
    const fields = new FieldReader(buffer, frameFields(buffer, start), end);
    switch (kind) {
      case FrameKind.response:
        return this.requests.onResponse(flags, fields);
      case FrameKind.opened:
        return this.#onOpened(frameNamespace(buffer, start), flags, fields);
      case FrameKind.counted:
        return this.requests.answeredByHub(fields.u32(), fields.u32());
      case FrameKind.observed:
        return this.requests.onObserved(fields);
      case FrameKind.synced:
        return this.#interest.onSynced(fields.u32());
      case FrameKind.asked:
        return this.requests.onAsked(fields);
      case FrameKind.left:
        return this.requests.left(fields.u32());
      case FrameKind.hold:
        return this.#link?.outgoing.hold(fields.u32());
      case FrameKind.release:
        return this.#link?.outgoing.release(fields.u32());
      case FrameKind.pong:
        // That it came is all that it says.
        return;
      case FrameKind.goodbye:
        return this.#onGoodbye();
      case FrameKind.order:
        return this.#onOrder(fields.rest().toString("latin1"));
      case FrameKind.seed:
        return this.#onSeed(fields.text());
      case FrameKind.notice:
        return this.#report(new HoldfastError(fields.text() as HoldfastErrorCode, fields.text()));
      default: {
        const port = this.#portsById.get(frameNamespace(buffer, start));
        if (port) port.onFrame(kind, flags, fields);
        else this.#onLate(kind, fields);
      }
    }
  }

  #onOrder(offset: string): void {
    for (const port of this.#ports.values()) port.onOrder(offset);
  }

  #onSeed(seed: string): void {
    const link = this.#link;
    if (!link) return;
    link.roomSeed = seed;
    link.seeds++;
    for (const port of this.#ports.values()) port.onSeed();
    this.beginFrame(FrameKind.reseeded, 0, 0)?.u32(link.seeds);
    this.endFrame();
  }

  /** The namespace was closed while the frame was on its way: who waits for an answer is told. */
  #onLate(kind: number, fields: FieldReader): void {
    if (kind === FrameKind.request) this.#declineRequest(fields);
    else if (kind === FrameKind.command && fields.u32() > 0) {
      this.beginFrame(FrameKind.settled, 0, 0)?.end();
    }
  }

  #declineRequest(fields: FieldReader): void {
    const asker = fields.u32();
    const outbox = this.beginAnswer(asker, ResponseFlag.final, 0);
    outbox?.u32(asker);
    outbox?.u32(fields.u32());
    outbox?.u32(this.id);
    outbox?.end();
  }

  #onOpened(namespaceId: number, flags: number, fields: FieldReader): void {
    const token = fields.u32();
    const port = this.#portsByToken.get(token);
    this.#portsByToken.delete(token);
    this.#interest.onOpened(() => {
      if (port && this.#ports.get(port.name) === port) {
        this.#portsById.set(namespaceId, port);
        port.onOpened(namespaceId, flags, fields.rest().toString("latin1"));
      } else {
        // Closed before the hub answered.
        this.beginFrame(FrameKind.close, 0, namespaceId)?.end();
      }
    });
  }

  /** Releases the link and whatever waits for the hub's word. */
  #unlink(): void {
    this.#watch.stop();
    this.#link?.close();
    this.#link = undefined;
    this.#portsById.clear();
    this.#portsByToken.clear();
    this.#interest.close();
    for (const port of this.#ports.values()) port.onUnlinked();
  }

  #report(error: HoldfastError): void {
    reportFailure(error.code, { error });
    for (const port of this.#ports.values()) {
      // Once for the process, not once for each namespace.
      port.onError(error);
      return;
    }
  }
}

function linkLost(): HoldfastError {
  return new HoldfastError(
    "HOLDFAST_ERR_LINK_LOST",
    "The link to the hub is gone, so broadcasts and commands reach this worker's own clients only.",
  );
}
