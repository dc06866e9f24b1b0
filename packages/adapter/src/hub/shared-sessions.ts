/**
 * Sessions as all hosts share them: what this host has of them is kept with the backplane, and what another host has
 * is fetched from there.
 * Owns: which sessions have to be kept anew, questions for sessions that are not here. Runs in: where the hub is.
 */
import { packValue, unpackValue } from "../wire/values.js";
import type { StoredSession } from "./backplane.js";
import { ChangedSessions, type SessionPart } from "./changed-sessions.js";
import { fenceFrame } from "./host-frames.js";
import type { Hosts } from "./hosts.js";
import type { Session } from "./session.js";

/** A live session is kept so much longer than a suspended one, and refreshed in a part of it. */
const MARGIN_MS = 10 * 60_000;
const REFRESH_MS = MARGIN_MS / 2;
/** A host that does not release a session is asked again. */
const RETRY_MS = 1_500;
const MAX_TRIES = 20;
/** Longer ones are made by no server. */
const MAX_ID_CHARS = 128;

/** A question. waiting: another host has been asked to let go of the session. */
interface Search {
  readonly namespace: string;
  readonly privateId: string;
  readonly ttlMs: number;
  readonly onFound: (session: FoundSession | undefined) => void;
  tries: number;
  /** The host that has it. */
  host: string | undefined;
  retry: NodeJS.Timeout | undefined;
  state: "asking" | "waiting" | "over";
}

export interface FoundSession {
  readonly sid: string;
  readonly rooms: Set<string>;
  readonly data: Uint8Array | undefined;
  readonly validAfter: string | undefined;
}

export interface SharedSessionsOptions {
  readonly hosts: Hosts;
  nameOf(namespaceId: number): string | undefined;
}

export class SharedSessions {
  readonly #hosts: Hosts;
  readonly #nameOf: (namespaceId: number) => string | undefined;
  readonly #searches = new Map<number, Search>();
  readonly #refreshedAt = new WeakMap<Session, number>();
  readonly #changed: ChangedSessions;
  #state: "open" | "closed" = "open";
  #lastSearch = 0;

  /** @param durationOf how long a session lives without a holder; undefined for one that is not of this host any more */
  constructor(
    { hosts, nameOf }: SharedSessionsOptions,
    durationOf: (session: Session) => number | undefined,
  ) {
    this.#hosts = hosts;
    this.#nameOf = nameOf;
    this.#changed = new ChangedSessions({
      keep: (session, part) => {
        const durationMs = durationOf(session);
        if (durationMs !== undefined) this.#store(session, durationMs, part);
      },
      whenInEffect: (callback) => hosts.backplane.whenInEffect(callback),
    });
  }

  /** Keeps all of the session now. */
  keep(session: Session, durationMs: number): void {
    if (this.#state === "closed") return;
    this.#changed.take(session);
    this.#store(session, durationMs, "all");
  }

  /** This of the session has changed, and is kept with {@link keepChanged}. */
  change(session: Session, part: "rooms" | "data"): void {
    if (this.#state === "open") this.#changed.note(session, part);
  }

  /** Keeps what has changed: at once, or when what was kept of the same session before is in effect. */
  keepChanged(): void {
    this.#changed.keep();
  }

  /** Calls back as `Hosts.whenInEffect` does; if that takes time, then the sessions as they are now are kept as well. */
  whenInEffect(callback: () => void): void {
    this.#changed.keep();
    const { hasLate } = this.#changed;
    let waits = false;
    this.#hosts.whenInEffect(() => {
      // By now what was late is kept, and not in effect.
      if (waits && hasLate) this.#hosts.backplane.whenInEffect(callback);
      else callback();
    });
    waits = true;
  }

  #store(session: Session, durationMs: number, part: SessionPart): void {
    const name = this.#nameOf(session.namespaceId);
    if (name === undefined) return;
    this.#refreshedAt.set(session, performance.now());
    this.#hosts.backplane.keepSession(name, session.privateId, stored(session, part), durationMs + MARGIN_MS);
  }

  /** Keeps the session for longer, if it is time. */
  refresh(session: Session, durationMs: number): void {
    const now = performance.now();
    if (now - (this.#refreshedAt.get(session) ?? now) < REFRESH_MS) return;
    const name = this.#nameOf(session.namespaceId);
    if (name === undefined) return;
    this.#refreshedAt.set(session, now);
    this.#hosts.backplane.keepSession(name, session.privateId, {}, durationMs + MARGIN_MS);
  }

  /** A session is kept as one of this host, which knows nothing of it. */
  releaseUnknown(namespace: string, privateId: string): void {
    this.#hosts.backplane.releaseSession(namespace, privateId, MARGIN_MS);
  }

  /** The session is nobody's, and whoever asks gets it. */
  release(session: Session, durationMs: number): void {
    const part = this.#changed.take(session);
    if (part !== undefined) this.#store(session, durationMs, part);
    const { namespaceId, privateId } = session;
    const name = this.#nameOf(namespaceId);
    if (name !== undefined) this.#hosts.backplane.releaseSession(name, privateId, durationMs);
  }

  forget(session: Session): void {
    this.#changed.take(session);
    const { namespaceId, privateId } = session;
    const name = this.#nameOf(namespaceId);
    if (name !== undefined) this.#hosts.backplane.forgetSession(name, privateId);
  }

  /**
   * Looks for a session elsewhere, and takes it.
   * @param onFound called once, unless the search is given up
   * @returns gives the search up
   */
  find(
    namespaceId: number,
    privateId: string,
    durationMs: number,
    onFound: (session: FoundSession | undefined) => void,
  ): () => void {
    const namespace = this.#nameOf(namespaceId);
    if (namespace === undefined || privateId.length > MAX_ID_CHARS) {
      onFound(undefined);
      return () => {};
    }
    const number = ++this.#lastSearch;
    const search: Search = {
      namespace,
      privateId,
      ttlMs: durationMs + MARGIN_MS,
      onFound,
      tries: 0,
      host: undefined,
      retry: undefined,
      state: "asking",
    };
    this.#searches.set(number, search);
    void this.#take(number, search);
    return () => this.#end(number, search);
  }

  /** A host says that a session that it was asked for is free. */
  onReleased(number: number): void {
    const search = this.#searches.get(number);
    if (search) this.#tryAgain(number, search);
  }

  /** What a host has is free when it is gone. */
  onHostGone(host: string): void {
    for (const [number, search] of this.#searches) if (search.host === host) this.#tryAgain(number, search);
  }

  /** Keeps what has changed, and nothing after that. */
  close(): void {
    this.#changed.keepAll();
    this.#state = "closed";
    for (const [number, search] of this.#searches) this.#end(number, search);
  }

  #tryAgain(number: number, search: Search): void {
    if (search.state !== "waiting") return;
    clearTimeout(search.retry);
    search.state = "asking";
    void this.#take(number, search);
  }

  async #take(number: number, search: Search): Promise<void> {
    const { namespace, privateId, ttlMs } = search;
    const taken = await this.#hosts.backplane.takeSession(namespace, privateId, ttlMs).catch(() => undefined);
    if (search.state === "over") {
      // Nobody here wants it any more, and others may.
      if (taken?.kind === "taken")
        this.#hosts.backplane.releaseSession(namespace, privateId, ttlMs - MARGIN_MS);
      return;
    }
    if (taken?.kind === "held" && ++search.tries < MAX_TRIES) {
      search.state = "waiting";
      search.host = taken.host;
      this.#hosts.sendTo(taken.host, namespace, fenceFrame(number, privateId));
      search.retry = setTimeout(() => this.#tryAgain(number, search), RETRY_MS).unref();
      return;
    }
    this.#end(number, search);
    search.onFound(taken?.kind === "taken" ? found(taken.session) : undefined);
  }

  #end(number: number, search: Search): void {
    search.state = "over";
    clearTimeout(search.retry);
    this.#searches.delete(number);
  }
}

function stored(session: Session, what: "all" | "rooms" | "data"): Partial<StoredSession> {
  const rooms = what === "data" ? undefined : packValue([...session.rooms]);
  const data = what === "rooms" || session.data === undefined ? undefined : Buffer.from(session.data);
  return {
    ...(what === "all" && { sid: session.sid, validAfter: session.validAfter }),
    ...(rooms && { rooms }),
    ...(data && { data }),
  };
}

function found({ sid, rooms, data, validAfter }: StoredSession): FoundSession | undefined {
  try {
    const names = unpackValue(rooms);
    if (!Array.isArray(names)) return undefined;
    return { sid, rooms: new Set(names as string[]), data: data && new Uint8Array(data), validAfter };
  } catch {
    return undefined;
  }
}
