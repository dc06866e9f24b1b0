/**
 * Sessions as all hosts share them: what this host has of them is kept with the backplane, and what another host has
 * is fetched from there.
 * Owns: questions for sessions that are not here. Runs in: where the hub is.
 */
import { packValue, unpackValue } from "../wire/values.js";
import type { StoredSession } from "./backplane.js";
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
  #lastSearch = 0;

  constructor({ hosts, nameOf }: SharedSessionsOptions) {
    this.#hosts = hosts;
    this.#nameOf = nameOf;
  }

  /** Keeps what is given of the session, or all of it. */
  keep(session: Session, durationMs: number, what: "all" | "rooms" | "data" = "all"): void {
    const name = this.#nameOf(session.namespaceId);
    if (name === undefined) return;
    this.#refreshedAt.set(session, performance.now());
    this.#hosts.backplane.keepSession(name, session.privateId, stored(session, what), durationMs + MARGIN_MS);
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
  release({ namespaceId, privateId }: Session, durationMs: number): void {
    const name = this.#nameOf(namespaceId);
    if (name !== undefined) this.#hosts.backplane.releaseSession(name, privateId, durationMs);
  }

  forget({ namespaceId, privateId }: Session): void {
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

  close(): void {
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
