/**
 * A session, and what one holder has of them. Changed by `sessions.ts` alone. Runs in: where the hub is.
 */

/**
 * Who has sessions' sockets: a member, as long as it has its link. Host and worker name the process, which may
 * come back as another member.
 */
export interface SessionHolder {
  readonly host: string;
  readonly workerId: number;
}

/**
 * live: its holder has its socket. suspended: nobody has it, until somebody asks for it or it expires. restoring:
 * it is on its way to who has asked, and does not expire. claimed: its holder has what the hub knew of it, and makes
 * the socket.
 *
 * live → suspended → restoring → claimed → live; restoring and claimed → suspended; suspended → live (its holder was
 * cut off, and is back); live and suspended → forgotten
 */
export type SessionState = "live" | "suspended" | "restoring" | "claimed";

/**
 * The sessions of one namespace that one holder has. When the holder is gone that is noted here, once for all of
 * them: each is suspended from then on.
 */
export class Holding<Holder extends SessionHolder> {
  readonly byHandle = new Map<number, Session<Holder>>();
  readonly claimed = new Set<Session<Holder>>();
  /** Undefined when the holder is gone. */
  holder: Holder | undefined;
  endedAt = 0;

  constructor(holder: Holder) {
    this.holder = holder;
  }

  end(now: number): void {
    this.holder = undefined;
    this.endedAt = now;
  }
}

export class Session<Holder extends SessionHolder = SessionHolder> {
  readonly namespaceId: number;
  readonly privateId: string;
  readonly sid: string;
  rooms = new Set<string>();
  /** `socket.data` in its encoded form; undefined when it was never told. */
  data: Uint8Array | undefined;
  /**
   * Offsets of its client up to this one do not say what it lacks: packets were placed for it in another order since.
   * Undefined if all do.
   */
  validAfter: string | undefined;
  /** When the connection that has got it last asked for it, on the clock of `machineTime()`; 0 if none has. */
  askedAt = 0;
  /** What its holder calls it by, or called it by last. */
  handle = 0;
  /** What has it, or had it until that ended. */
  holding: Holding<Holder> | undefined;
  #state: SessionState = "suspended";
  /** A claim that fails does not restart the time. */
  #suspendedAt = 0;
  #lastHost = "";
  #lastWorkerId = 0;

  constructor({ namespaceId, privateId, sid }: Pick<Session, "namespaceId" | "privateId" | "sid">) {
    this.namespaceId = namespaceId;
    this.privateId = privateId;
    this.sid = sid;
  }

  get state(): SessionState {
    return this.#hasLostHolder ? "suspended" : this.#state;
  }

  /** Defined while live and while claimed. */
  get holder(): Holder | undefined {
    return this.holding?.holder;
  }

  /** Since when nobody has it. */
  get suspendedAt(): number {
    return this.#hasLostHolder && this.#state === "live" ? (this.holding?.endedAt ?? 0) : this.#suspendedAt;
  }

  get #hasLostHolder(): boolean {
    return this.holding !== undefined && this.holding.holder === undefined;
  }

  /** Whether this process had it last, and nobody since. */
  wasLast({ host, workerId }: SessionHolder, handle: number): boolean {
    return this.handle === handle && this.#lastWorkerId === workerId && this.#lastHost === host;
  }

  /** Nobody has it any more. */
  letGo(now: number, state: "suspended" | "restoring"): void {
    this.#suspendedAt = this.state === "live" ? now : this.suspendedAt;
    this.#state = state;
    this.holding = undefined;
  }

  give(
    holding: Holding<Holder>,
    { host, workerId }: SessionHolder,
    handle: number,
    state: "live" | "claimed",
  ): void {
    this.holding = holding;
    this.#lastHost = host;
    this.#lastWorkerId = workerId;
    this.handle = handle;
    this.#state = state;
  }

  /** The socket of a claimed session has connected. */
  settle(): void {
    this.#state = "live";
  }
}
