/**
 * The hub's table of sessions: what a client's next connection needs, wherever it arrives.
 * Owns: the sessions of all namespaces, by private id and by the handle that their holder calls them by.
 * Runs in: where the hub is. Knows nothing of links.
 */
import { Holding, Session, type SessionHolder } from "./session.js";

interface NamespaceSessions<Holder extends SessionHolder> {
  readonly byPrivateId: Map<string, Session<Holder>>;
  /** Nearly in the order of `suspendedAt`: a session whose claim has failed is put at the end. */
  readonly suspended: Set<Session<Holder>>;
  /** Holders that are gone, in the order in which they went, with the sessions that nobody has looked at since. */
  readonly ended: Set<Holding<Holder>>;
  restoring: number;
  durationMs: number;
}

export class Sessions<Holder extends SessionHolder> {
  readonly #namespaces = new Map<number, NamespaceSessions<Holder>>();
  /** By holder and namespace. */
  readonly #holdings = new Map<Holder, Map<number, Holding<Holder>>>();
  readonly #now: () => number;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** A namespace has recovery; sessions of it live this long without a holder. */
  openNamespace(namespaceId: number, durationMs: number): void {
    const known = this.#namespaces.get(namespaceId);
    if (known) known.durationMs = Math.max(known.durationMs, durationMs);
    else {
      const [byPrivateId, suspended, ended] = [new Map(), new Set<never>(), new Set<never>()];
      this.#namespaces.set(namespaceId, { byPrivateId, suspended, ended, restoring: 0, durationMs });
    }
  }

  /** Whether the namespace has sessions, with or without a holder. */
  hasAny(namespaceId: number): boolean {
    return (this.#namespaces.get(namespaceId)?.byPrivateId.size ?? 0) > 0;
  }

  forgetNamespace(namespaceId: number): void {
    this.#namespaces.delete(namespaceId);
  }

  get size(): number {
    let size = 0;
    for (const { byPrivateId } of this.#namespaces.values()) size += byPrivateId.size;
    return size;
  }

  /** Those without a socket. */
  get suspendedSize(): number {
    let size = 0;
    for (const { suspended, ended, restoring } of this.#namespaces.values()) {
      size += suspended.size + restoring;
      for (const { byHandle } of ended) size += byHandle.size;
    }
    return size;
  }

  /**
   * The session of a socket that has just connected, or that was there while its worker was cut off.
   * @returns undefined when another holder has it, or has had it since: the socket no longer belongs to it
   */
  open(
    holder: Holder,
    handle: number,
    ids: Pick<Session, "namespaceId" | "privateId" | "sid">,
  ): Session<Holder> | undefined {
    const namespace = this.#namespaces.get(ids.namespaceId);
    if (!namespace) return undefined;
    let session = namespace.byPrivateId.get(ids.privateId);
    if (session) {
      if (session.state !== "suspended" || !session.wasLast(holder, handle)) return undefined;
      this.#letGo(session, "suspended");
    } else {
      session = new Session(ids);
      namespace.byPrivateId.set(ids.privateId, session);
    }
    this.#give(session, holder, handle, "live");
    return session;
  }

  /** How long sessions of the namespace live without a holder, in milliseconds. */
  durationOf(namespaceId: number): number {
    return this.#namespaces.get(namespaceId)?.durationMs ?? 0;
  }

  /** All sessions. */
  *all(): IterableIterator<Session<Holder>> {
    for (const { byPrivateId } of this.#namespaces.values()) yield* byPrivateId.values();
  }

  /** A session that another hub had: nobody has it, until it is asked for. */
  adopt(ids: Pick<Session, "namespaceId" | "privateId" | "sid">): Session<Holder> | undefined {
    const namespace = this.#namespaces.get(ids.namespaceId);
    if (!namespace) return undefined;
    const session = new Session<Holder>(ids);
    namespace.byPrivateId.set(ids.privateId, session);
    session.letGo(this.#now(), "suspended");
    namespace.suspended.add(session);
    return session;
  }

  /** The session that this holder, and no other since, calls by the handle. */
  held(holder: Holder, namespaceId: number, handle: number): Session<Holder> | undefined {
    return this.#holdings.get(holder)?.get(namespaceId)?.byHandle.get(handle);
  }

  /** By private id; what has expired is not found. */
  find(namespaceId: number, privateId: string): Session<Holder> | undefined {
    const namespace = this.#namespaces.get(namespaceId);
    const session = namespace?.byPrivateId.get(privateId);
    if (!namespace || !session) return undefined;
    if (session.state !== "suspended" || !this.#hasExpired(session.suspendedAt, namespace)) return session;
    this.forget(session);
    return undefined;
  }

  /** Takes the session from its holder, who is heard no more about it, or gives up to restore it. */
  suspend(session: Session<Holder>): void {
    if (session.state === "suspended") return;
    this.#letGo(session, "suspended");
    this.#namespaces.get(session.namespaceId)?.suspended.add(session);
  }

  /** Keeps a suspended session for who has asked for it. */
  reserve(session: Session<Holder>): void {
    this.#letGo(session, "restoring");
    const namespace = this.#namespaces.get(session.namespaceId);
    if (namespace) namespace.restoring++;
  }

  /**
   * Gives a session that was reserved to a holder that will make its socket.
   * @param askedAt when that asked for it; it may not have been asked for
   */
  claim(session: Session<Holder>, holder: Holder, handle: number, askedAt = session.askedAt): void {
    this.#letGo(session, "suspended");
    session.askedAt = askedAt;
    this.#give(session, holder, handle, "claimed");
  }

  /** The socket of a claimed session has connected. */
  settle(session: Session<Holder>): void {
    if (session.state !== "claimed") return;
    session.holding?.claimed.delete(session);
    session.settle();
  }

  forget(session: Session<Holder>): void {
    this.#letGo(session, "suspended");
    this.#namespaces.get(session.namespaceId)?.byPrivateId.delete(session.privateId);
  }

  /**
   * The holder is gone, or has closed a namespace: nobody has its sessions any more.
   * @returns those that were claimed
   */
  release(holder: Holder, namespaceId?: number): Session<Holder>[] {
    const holdings = this.#holdings.get(holder);
    const claimed: Session<Holder>[] = [];
    for (const id of namespaceId === undefined ? [...(holdings?.keys() ?? [])] : [namespaceId]) {
      const holding = holdings?.get(id);
      if (!holding) continue;
      holdings?.delete(id);
      for (const session of holding.claimed) claimed.push(session);
      holding.end(this.#now());
      this.#namespaces.get(id)?.ended.add(holding);
    }
    if (holdings?.size === 0) this.#holdings.delete(holder);
    return claimed;
  }

  /** Forgets what nobody has come back for in time, one by one. */
  *expire(): Generator<void> {
    for (const namespace of this.#namespaces.values()) {
      for (const session of namespace.suspended) {
        if (!this.#hasExpired(session.suspendedAt, namespace)) break;
        this.forget(session);
        yield;
      }
      for (const holding of namespace.ended) {
        if (!this.#hasExpired(holding.endedAt, namespace)) break;
        for (const session of holding.byHandle.values()) {
          this.forget(session);
          yield;
        }
        namespace.ended.delete(holding);
      }
    }
  }

  #hasExpired(suspendedAt: number, { durationMs }: NamespaceSessions<Holder>): boolean {
    return this.#now() - suspendedAt > durationMs;
  }

  #give(session: Session<Holder>, holder: Holder, handle: number, state: "live" | "claimed"): void {
    const holding = this.#holdingOf(holder, session.namespaceId);
    holding.byHandle.set(handle, session);
    if (state === "claimed") holding.claimed.add(session);
    session.give(holding, holder, handle, state);
  }

  #letGo(session: Session<Holder>, state: "suspended" | "restoring"): void {
    const { holding, namespaceId, handle } = session;
    const namespace = this.#namespaces.get(namespaceId);
    holding?.byHandle.delete(handle);
    holding?.claimed.delete(session);
    if (holding?.byHandle.size === 0) this.#forgetHolding(holding, namespaceId);
    namespace?.suspended.delete(session);
    if (namespace && session.state === "restoring") namespace.restoring--;
    session.letGo(this.#now(), state);
  }

  #holdingOf(holder: Holder, namespaceId: number): Holding<Holder> {
    let holdings = this.#holdings.get(holder);
    if (!holdings) {
      holdings = new Map();
      this.#holdings.set(holder, holdings);
    }
    let holding = holdings.get(namespaceId);
    if (!holding) {
      holding = new Holding(holder);
      holdings.set(namespaceId, holding);
    }
    return holding;
  }

  #forgetHolding(holding: Holding<Holder>, namespaceId: number): void {
    const { holder } = holding;
    if (!holder) {
      this.#namespaces.get(namespaceId)?.ended.delete(holding);
      return;
    }
    const holdings = this.#holdings.get(holder);
    holdings?.delete(namespaceId);
    if (holdings?.size === 0) this.#holdings.delete(holder);
  }
}
