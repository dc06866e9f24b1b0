/**
 * The hub's table of sessions: what a client's next connection needs, wherever it arrives.
 * Owns: the sessions of all namespaces, by private id and by the handle that their owner calls them by.
 * Runs in: primary. Knows nothing of links.
 */

/** Who holds a session's socket: a worker, as long as it has its link. The table only compares them. */
export interface Owner {
  readonly workerId: number;
}

/**
 * live: the owner has its socket. claimed: the owner is making the socket, with what the hub gave it.
 * suspended: nobody has it, until somebody restores it or it expires.
 *
 * live → suspended → claimed → live; claimed → suspended; live and suspended → forgotten
 */
export type SessionState = "live" | "claimed" | "suspended";

export interface Session {
  readonly privateId: string;
  readonly sid: string;
  readonly namespaceId: number;
  state: SessionState;
  rooms: Set<string>;
  /** `socket.data` in its encoded form; undefined when it was never told. */
  data: Uint8Array | undefined;
  /** Undefined while suspended. */
  owner: Owner | undefined;
  /** The worker that has it, or had it last, and what it calls it by. */
  workerId: number;
  handle: number;
  /** When it was suspended. A claim that fails does not restart the time. */
  suspendedAt: number;
}

interface NamespaceSessions {
  readonly byPrivateId: Map<string, Session>;
  /** Nearly in the order of `suspendedAt`: a session whose claim has failed is put at the end. */
  readonly suspended: Set<Session>;
  durationMs: number;
}

export class Sessions {
  readonly #namespaces = new Map<number, NamespaceSessions>();
  readonly #byOwner = new Map<Owner, Map<number, Session>>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** A namespace has recovery; sessions of it live this long without an owner. */
  openNamespace(namespaceId: number, durationMs: number): void {
    const known = this.#namespaces.get(namespaceId);
    if (known) known.durationMs = Math.max(known.durationMs, durationMs);
    else this.#namespaces.set(namespaceId, { byPrivateId: new Map(), suspended: new Set(), durationMs });
  }

  /** Whether the namespace has sessions, with or without an owner. */
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

  get suspendedSize(): number {
    let size = 0;
    for (const { suspended } of this.#namespaces.values()) size += suspended.size;
    return size;
  }

  /**
   * The session of a socket that has just connected, or that was there while its worker was cut off.
   * @returns undefined when another worker has it, or has had it since: the socket no longer belongs to it
   */
  open(
    owner: Owner,
    handle: number,
    session: Pick<Session, "namespaceId" | "privateId" | "sid">,
  ): Session | undefined {
    const namespace = this.#namespaces.get(session.namespaceId);
    if (!namespace) return undefined;
    const known = namespace.byPrivateId.get(session.privateId);
    if (known) {
      const wasLast = known.workerId === owner.workerId && known.handle === handle;
      if (known.state !== "suspended" || !wasLast) return undefined;
      this.claim(known, owner, handle);
      known.state = "live";
      return known;
    }
    const opened: Session = {
      ...session,
      state: "live",
      rooms: new Set(),
      data: undefined,
      owner,
      workerId: owner.workerId,
      handle,
      suspendedAt: 0,
    };
    namespace.byPrivateId.set(opened.privateId, opened);
    this.#handlesOf(owner).set(handle, opened);
    return opened;
  }

  /** The session that this owner, and no other since, calls by the handle. */
  owned(owner: Owner, handle: number): Session | undefined {
    return this.#byOwner.get(owner)?.get(handle);
  }

  /** By private id; what has expired is not found. */
  find(namespaceId: number, privateId: string): Session | undefined {
    const namespace = this.#namespaces.get(namespaceId);
    const session = namespace?.byPrivateId.get(privateId);
    if (!namespace || !session) return undefined;
    if (session.state !== "suspended" || !this.#hasExpired(session, namespace)) return session;
    this.forget(session);
    return undefined;
  }

  /** Gives a suspended session to an owner that will make its socket. */
  claim(session: Session, owner: Owner, handle: number): void {
    this.#namespaces.get(session.namespaceId)?.suspended.delete(session);
    session.state = "claimed";
    session.owner = owner;
    session.workerId = owner.workerId;
    session.handle = handle;
    this.#handlesOf(owner).set(handle, session);
  }

  /** Takes the session from its owner. What that owner says about it from now on is ignored. */
  suspend(session: Session): void {
    if (session.state === "suspended") return;
    if (session.state === "live") session.suspendedAt = this.#now();
    session.state = "suspended";
    this.#disown(session);
    this.#namespaces.get(session.namespaceId)?.suspended.add(session);
  }

  forget(session: Session): void {
    this.#disown(session);
    const namespace = this.#namespaces.get(session.namespaceId);
    namespace?.suspended.delete(session);
    namespace?.byPrivateId.delete(session.privateId);
  }

  /** All sessions of an owner, of one namespace or of all. */
  *of(owner: Owner, namespaceId?: number): IterableIterator<Session> {
    for (const session of [...(this.#byOwner.get(owner)?.values() ?? [])]) {
      if (namespaceId === undefined || session.namespaceId === namespaceId) yield session;
    }
  }

  /** Forgets what nobody has come back for in time. */
  expire(): void {
    for (const namespace of this.#namespaces.values()) {
      for (const session of namespace.suspended) {
        if (!this.#hasExpired(session, namespace)) break;
        this.forget(session);
      }
    }
  }

  #hasExpired(session: Session, { durationMs }: NamespaceSessions): boolean {
    return this.#now() - session.suspendedAt > durationMs;
  }

  #handlesOf(owner: Owner): Map<number, Session> {
    let handles = this.#byOwner.get(owner);
    if (!handles) {
      handles = new Map();
      this.#byOwner.set(owner, handles);
    }
    return handles;
  }

  #disown(session: Session): void {
    const { owner } = session;
    if (!owner) return;
    const handles = this.#byOwner.get(owner);
    handles?.delete(session.handle);
    if (handles?.size === 0) this.#byOwner.delete(owner);
    session.owner = undefined;
  }
}
