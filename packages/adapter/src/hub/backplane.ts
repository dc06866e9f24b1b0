/**
 * What joins the hubs of several hosts, as a hub sees it: frames and changes go in on one host and come out on the
 * others, all in one order. Types only. Runs in: where the hub is.
 *
 * A host is named by a text that no other ever has. Interest travels as buckets: numbers of 20 bits, made from room
 * keys, so that what a host wants has a fixed size however many rooms it has.
 */
import type { HoldfastError } from "../errors.js";
import type { HostsStats } from "../stats.js";

/** How many buckets there are. */
export const BUCKETS = 2 ** 20;

/** What a host tells all others. */
export interface HostChange {
  /** Buckets that it wants from now on. */
  readonly wants: readonly number[];
  /** Buckets that it wants no more. */
  readonly drops: readonly number[];
  /** Namespaces by name, with what the hub has to say of each; undefined for one that it has no more. */
  readonly namespaces: ReadonlyMap<string, string | undefined>;
  /** Ids of members that are gone; they have sent all that they will. */
  readonly left: readonly number[];
  /** How it is reached besides; undefined if that is as before. */
  readonly address?: string | undefined;
}

/** All that a host has told so far. */
export interface HostState {
  readonly host: string;
  /** A bit for each bucket, the highest of a byte first; bytes at the end may be missing. */
  readonly buckets: Buffer;
  readonly namespaces: ReadonlyMap<string, string>;
  /** How it is reached besides; undefined if it has told nothing of that since it joined. */
  readonly address: string | undefined;
}

/** What is true when a host has joined. Only what comes after it is told. */
export interface Joined {
  /** Names the order of recoverable packets. */
  readonly epoch: string;
  /** Makes room keys, the same on all hosts. */
  readonly seed: string;
  /** Nobody but the hosts knows it. */
  readonly secret: string;
  /** Packets up to this number are past: nobody here waits for them. */
  readonly pastUpTo: number;
  /** The other hosts. */
  readonly hosts: readonly HostState[];
}

/** A session as it is kept for all hosts. */
export interface StoredSession {
  readonly sid: string;
  /** Names, in the encoded form that `sessionOpen` has. */
  readonly rooms: Buffer;
  /** `socket.data` in its encoded form, if it was told. */
  readonly data: Buffer | undefined;
  /** Offsets of its client up to this one do not say what it lacks; undefined if all do. */
  readonly validAfter: string | undefined;
}

/**
 * taken: it is the asker's from now on. held: another host has it, and has to release it first. none: there is no
 * such session.
 */
export type TakenSession =
  | { readonly kind: "taken"; readonly session: StoredSession }
  | { readonly kind: "held"; readonly host: string }
  | { readonly kind: "none" };

/** Bytes that are valid during the call, and may be changed. */
export type Frame = readonly [buffer: Buffer, start: number, end: number];

export interface BackplaneEvents {
  /**
   * This host is one of several from now on. With another epoch than before, nothing of the order before is there
   * any more; with the same one, the order goes on where it was. What was known of other hosts is void.
   */
  onJoined(joined: Joined): void;
  /**
   * The backplane was away for a moment, and this host is the member that it was: it has missed nothing. Otherwise
   * `onJoined` says that it is back.
   */
  onBack(): void;
  /** The other hosts cannot be reached, and have not been for a while. `onJoined` may follow. */
  onAlone(error: HoldfastError): void;
  /** A host has joined. It may have been one of them before; what was known of it is void. */
  onHost(host: string): void;
  /**
   * The host is gone and sends nothing more.
   * @param why ended: it has said goodbye, or somebody knows that its process has ended; silent: its lease has ended
   */
  onHostGone(host: string, why: "ended" | "silent"): void;
  onChange(host: string, change: HostChange): void;
  /** @param namespace its name: the frame's header has no id of this hub */
  onFrame(host: string, namespace: string, ...frame: Frame): void;
  /**
   * A recoverable packet of any host, this one too, with its number: one more than that of the packet before, unless
   * the packet is past, or `onRecordsLost` has told of those between them.
   * @param isPast it was placed before this host had joined: nobody here waits for it
   */
  onRecord(host: string, namespace: string, sequence: number, isPast: boolean, ...frame: Frame): void;
  /**
   * Packets with these numbers, which come next, were thrown away before this host had read them. Its own are never
   * among them.
   */
  onRecordsLost(from: number, upTo: number): void;
  /** All that one reading has brought has been told. */
  onPause(): void;
  /** Frames for this host that were not recoverable were thrown away because it did not read them in time. */
  onGap(entries: number): void;
  /** A session that this host has kept is another host's. */
  onSessionLost(namespace: string, privateId: string): void;
  onError(error: HoldfastError): void;
}

/** What a backplane says of itself. */
export type BackplaneStats = Omit<HostsStats, "name" | "others" | "missed">;

export interface Backplane {
  /** This host's name. */
  readonly host: string;
  readonly stats: BackplaneStats;
  /** How long after this host others that live come back, at most, when the backplane was away. Milliseconds. */
  readonly returnMs: number;
  /**
   * Sends a frame to hosts that want it as far as this host knows. If that is not the latest, all get it.
   * @param namespace its name
   */
  send(hosts: readonly string[], namespace: string, ...frame: Frame): void;
  /** Sends a frame to this host alone. */
  sendTo(host: string, namespace: string, ...frame: Frame): void;
  /** Has a packet numbered and kept: `onRecord` follows on all hosts. */
  record(namespace: string, ...frame: Frame): void;
  tell(change: HostChange): void;
  /** The keys of all frames that have still to be sent, or may be sent again, say nothing any more. */
  voidKeys(): void;
  /** Calls back when everything before is in effect on all hosts, or when there are none to wait for. */
  whenInEffect(callback: () => void): void;
  /** Keeps a session of this host for all hosts. */
  keepSession(namespace: string, privateId: string, session: Partial<StoredSession>, ttlMs: number): void;
  /** Another host may take it without a question. */
  releaseSession(namespace: string, privateId: string, ttlMs: number): void;
  forgetSession(namespace: string, privateId: string): void;
  /**
   * Settles when all packets that were placed before it was taken have been told: its client may have had them elsewhere.
   * @throws {HoldfastError} `HOLDFAST_ERR_BACKPLANE_DOWN`
   */
  takeSession(namespace: string, privateId: string, ttlMs: number): Promise<TakenSession>;
  /**
   * The process of this host seems to have ended. If the backplane sees that as well, the host is gone for all; otherwise
   * its lease has to end.
   */
  suspect(host: string): void;
  /** Says goodbye: the others know at once. May be called twice. */
  close(): Promise<void>;
}

/** Arguments and environment of a hub process that is to have the backplane. */
export interface BackplaneRecipe {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What users pass as the option `backplane`. */
export interface BackplaneFactory {
  /** Equal for hosts that are one cluster. */
  readonly name: string;
  /** What another process makes the same of; undefined where that cannot be. */
  readonly recipe: BackplaneRecipe | undefined;
  /** Loads other people's packages, which takes long and holds up the process. What fails is told once it is open. */
  load(): Promise<void>;
  open(limits: BackplaneLimits, events: BackplaneEvents): Backplane;
}

export interface BackplaneLimits {
  readonly protocol: number;
  readonly maxMessageBytes: number;
  /** How much may wait to be sent. */
  readonly maxBacklogBytes: number;
  /** What this host makes keys of rooms with, for hosts that have no seed yet. */
  readonly seed: string;
}
