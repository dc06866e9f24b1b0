/**
 * A host's place among the hosts of an application, by way of Redis: joins, sends, reads, and stays.
 * Owns: two connections, the lease, and the reader and sender on them. Runs in: where the hub is.
 *
 * Longer than other files: joining, sending, reading and the lease are ways between the same states, and are read
 * together.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import debugModule from "debug";
import { HoldfastError } from "../../errors.js";
import type {
  Backplane,
  BackplaneEvents,
  BackplaneLimits,
  BackplaneStats,
  Frame,
  HostChange,
  StoredSession,
  TakenSession,
} from "../../hub/backplane.js";
import { drawHostName } from "../../wire/host-name.js";
import { newEpoch } from "../../wire/offset.js";
import type { RedisArgument, RedisNodeClient } from "./clients.js";
import { Connection, SILENCE } from "./connection.js";
import { Incoming } from "./incoming.js";
import { Keys } from "./keys.js";
import { checkMemory } from "./memory-check.js";
import { NodeFinder } from "./node-finder.js";
import type { ResolvedStreamsOptions } from "./options.js";
import { asDown, lostMembership } from "./outages.js";
import { Reader, type Stream } from "./reader.js";
import { bytesOf, type JoinReply, listOf, numberOf, readJoin, type StreamEntry, textOf } from "./replies.js";
import { Answer, BATCH, GONE, JOIN, RENEW, type Script, TAKE } from "./scripts.js";
import { Sender } from "./sender.js";
import { Witness } from "./witness.js";

const debug = debugModule("holdfast:adapter:redis");

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 2_000;
/** How long `close()` waits for Redis: what it says then is only a courtesy, and lost hosts have their lease. */
const GOODBYE_MS = 500;
/** Keys outlive the application by this, and by what packets are kept for. */
const KEEP_MS = 10 * 60_000;

/** One membership, as long as its connections live. */
interface Membership {
  readonly connection: Connection;
  readonly reader: Reader;
  readonly witness: Witness;
  /** When the lease was last renewed; the lease is at least this young. */
  renewedAt: number;
}

/**
 * away: no connection, or no membership; `isTold` says whether the hub was told that it is alone. joined: a member.
 *
 * away → joined → away; any state → closed
 */
type State =
  | { readonly kind: "away"; readonly isTold: boolean }
  | { readonly kind: "joined"; readonly membership: Membership }
  | { readonly kind: "closed" };

export class RedisStreams implements Backplane {
  readonly host = drawHostName(hostname());
  readonly #options: ResolvedStreamsOptions;
  readonly #limits: BackplaneLimits;
  readonly #events: BackplaneEvents;
  readonly #keys: Keys;
  readonly #sender: Sender;
  readonly #incoming: Incoming;
  readonly #closing = new AbortController();
  #state: State = { kind: "away", isTold: false };
  #finder: NodeFinder | undefined;
  #alone: NodeJS.Timeout | undefined;
  #lastError = new HoldfastError("HOLDFAST_ERR_BACKPLANE_DOWN", "Redis has not answered yet.");
  /** A new one for each membership that others see. */
  #generation = "";
  #epoch = "";
  /** Outlives the data in Redis as well: members need not hear of another one. */
  #seed: string;
  /** Outlives the data in Redis: hosts that find them lost still have to prove to each other who they are. */
  #secret = "";
  /** Since when nothing was sent and no lease renewed; undefined while all is well. */
  #unservedSince: number | undefined;
  #roundTripMs = 0;
  #hasChecked = false;
  /** The reader of this membership or the one before. */
  #lastReader: Reader | undefined;
  /** Called when something was read or a membership has ended, for those who look again then. */
  readonly #waiting = new Set<() => void>();
  /** Ends this membership. */
  #failMembership: (error: unknown) => void = () => {};
  readonly #run: Promise<void>;

  constructor(options: ResolvedStreamsOptions, limits: BackplaneLimits, events: BackplaneEvents) {
    this.#options = options;
    this.#limits = limits;
    this.#seed = limits.seed;
    this.#events = events;
    this.#keys = new Keys(options.app);
    this.#sender = new Sender(limits.maxBacklogBytes, {
      call: (number, version, args) => this.#callBatch(number, version, args),
      version: () => this.#incoming.change,
      onTold: (change) => this.#incoming.onTold(change),
      onSessionLost: (key) => this.#onSessionLost(key),
      onFailure: (error) => this.#onFailure(error),
    });
    this.#incoming = new Incoming(this.host, this.#keys.prefix, {
      ...events,
      onHost: (host) => {
        events.onHost(host);
        this.#notice(({ witness }) => witness.look([host]));
      },
      onSeen: (batch) => this.#sender.seen(batch),
      takeUnseen: (upTo) => this.#sender.takeUnseen(upTo),
    });
    this.#waitAlone();
    this.#run = this.#runUntilClosed();
  }

  get stats(): BackplaneStats {
    const { backlogBytes, counts } = this.#sender;
    const away = this.#isAlone ? "alone" : "waiting";
    const state = this.#membership ? "joined" : away;
    const { ms: inboxLagMs, bytes: inboxBytes } = this.#incoming.inboxLag;
    return { state, roundTripMs: this.#roundTripMs, inboxLagMs, inboxBytes, backlogBytes, ...counts };
  }

  /** A host that lives has tried by then, and is taken for gone when it is silent from then on. */
  get returnMs(): number {
    return LAST_RETRY_MS + this.#options.lease;
  }

  send(hosts: readonly string[], namespace: string, ...frame: Frame): void {
    if (this.#takes()) this.#sender.batch.send(hosts, this.#incoming.change, namespace, ...frame);
  }

  sendTo(host: string, namespace: string, ...frame: Frame): void {
    if (this.#takes()) this.#sender.batch.sendTo(host, namespace, ...frame);
  }

  record(namespace: string, ...frame: Frame): void {
    this.#sender.batch.record(namespace, ...frame);
  }

  tell(change: HostChange): void {
    if (!this.#isAlone) this.#sender.batch.tell(change);
  }

  voidKeys(): void {
    this.#sender.voidKeys();
  }

  whenInEffect(callback: () => void): void {
    if (this.#isAlone) callback();
    else this.#sender.whenDone(callback);
  }

  keepSession(namespace: string, privateId: string, session: Partial<StoredSession>, ttlMs: number): void {
    if (!this.#isAlone)
      this.#sender.batch.keepSession(this.#keys.session(namespace, privateId), session, ttlMs);
  }

  releaseSession(namespace: string, privateId: string, ttlMs: number): void {
    if (!this.#isAlone) this.#sender.batch.releaseSession(this.#keys.session(namespace, privateId), ttlMs);
  }

  forgetSession(namespace: string, privateId: string): void {
    if (!this.#isAlone) this.#sender.batch.forgetSession(this.#keys.session(namespace, privateId));
  }

  async takeSession(namespace: string, privateId: string, ttlMs: number): Promise<TakenSession> {
    const key = this.#keys.session(namespace, privateId);
    for (;;) {
      await this.#settled();
      const membership = this.#membership;
      if (!membership) throw this.#lastError;
      try {
        return await this.#take(membership, key, ttlMs);
      } catch (error) {
        // As with packets, Redis may be back before anybody is alone; whoever has taken a session may take it again.
        if (this.#membership === membership) this.#onFailure(error);
        await this.#ended(membership);
      }
    }
  }

  async #take({ connection }: Membership, key: string, ttlMs: number): Promise<TakenSession> {
    const answer = await this.#callChecked(connection, TAKE, [key, String(ttlMs)]);
    const [, kind, first, rooms, data, lastRecord, validAfter] = answer;
    if (textOf(kind) === "held") return { kind: "held", host: textOf(first) };
    if (textOf(kind) !== "taken") return { kind: "none" };
    await this.#haveTold(numberOf(lastRecord));
    const session = {
      sid: textOf(first),
      rooms: bytesOf(rooms),
      data: data ? bytesOf(data) : undefined,
      validAfter: validAfter ? textOf(validAfter) : undefined,
    };
    return { kind: "taken", session };
  }

  suspect(host: string): void {
    this.#notice((membership) => this.#examine(membership, host));
  }

  async close(): Promise<void> {
    const membership = this.#membership;
    if (membership) {
      const patience = sleep(GOODBYE_MS, undefined, { signal: this.#closing.signal, ref: false });
      await Promise.race([this.#sayGoodbye(membership), patience.catch(() => {})]);
    }
    this.#state = { kind: "closed" };
    this.#wake();
    clearTimeout(this.#alone);
    this.#closing.abort();
    membership?.reader.stop();
    this.#sender.close();
    await this.#run;
  }

  async #sayGoodbye({ connection }: Membership): Promise<void> {
    // What was sent before is still sent.
    await new Promise<void>((resolve) => this.whenInEffect(resolve));
    await this.#call(connection, GONE, [this.host, "g", this.#generation]).catch(() => {});
  }

  get #membership(): Membership | undefined {
    return this.#state.kind === "joined" ? this.#state.membership : undefined;
  }

  get #isAlone(): boolean {
    return this.#state.kind === "closed" || (this.#state.kind === "away" && this.#state.isTold);
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Waits until this host has read what there was when it joined, or nobody waits for Redis any more. */
  async #settled(): Promise<void> {
    while (!this.#isAlone && this.#membership?.reader.isCaughtUp !== true) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Waits until it is no membership any more. */
  async #ended(membership: Membership): Promise<void> {
    while (this.#membership === membership) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** Waits until packets up to this number have been told, or never will be. */
  async #haveTold(record: number): Promise<void> {
    const epoch = this.#epoch;
    while (!this.#isAlone && this.#epoch === epoch && this.#incoming.recordsUpTo < record) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #takes(): boolean {
    if (!this.#isAlone && !this.#sender.isFull) return true;
    this.#sender.counts.dropped++;
    return false;
  }

  /** Joins again and again, until `close()`. */
  async #runUntilClosed(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!this.#isClosed) {
      const startedAt = performance.now();
      try {
        await this.#beMember();
      } catch (error) {
        this.#onAway(error);
      }
      if (performance.now() - startedAt > LAST_RETRY_MS) retryMs = FIRST_RETRY_MS;
      // Hosts that have lost their Redis together need not come back together.
      const pause = retryMs * (0.5 + Math.random() / 2);
      await sleep(pause, undefined, { signal: this.#closing.signal, ref: false }).catch(() => {});
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    }
  }

  /** Is a member until a connection fails, or Redis has another opinion; then it rejects. */
  async #beMember(): Promise<void> {
    const { timeout } = this.#options;
    let fail: (error: unknown) => void = () => {};
    const failed = new Promise<never>((_, reject) => {
      fail = reject;
    });
    failed.catch(() => {});
    const connections = new Set<Connection>();
    const end = new AbortController();
    const finding = this.#findNode();
    const open = async () => {
      const node = await finding;
      if (this.#isClosed) throw this.#lastError;
      const connection = new Connection(node, fail);
      connections.add(connection);
      await connection.open(timeout);
      return connection;
    };
    const onClose = () => fail(new HoldfastError("HOLDFAST_ERR_CLOSED", "The backplane was closed."));
    this.#closing.signal.addEventListener("abort", onClose);
    try {
      const [commands, reading] = await Promise.race([Promise.all([open(), open()]), failed]);
      this.#failMembership = fail;
      const membership = await Promise.race([this.#join(commands), failed]);
      await Promise.race([
        membership.reader.run(reading, timeout),
        this.#keepLease(membership, end.signal),
        failed,
      ]);
    } finally {
      end.abort();
      this.#closing.signal.removeEventListener("abort", onClose);
      this.#sender.stop();
      this.#membership?.reader.stop();
      for (const connection of connections) connection.close();
    }
  }

  /** Evicts the host if its connection has ended; otherwise its lease has to. */
  async #examine({ connection, witness }: Membership, host: string): Promise<void> {
    for (const [ended, name] of await witness.look([host])) {
      debug("host %s says that host %s is gone", this.host, ended);
      await this.#call(connection, GONE, [ended, "cid", name]);
    }
  }

  #notice(look: (membership: Membership) => Promise<unknown>): void {
    const membership = this.#membership;
    if (membership) look(membership).catch((error: unknown) => this.#onFailure(error));
  }

  #onFailure(error: unknown): void {
    this.#failMembership(typeof error === "string" ? lostMembership(error) : error);
  }

  async #findNode(): Promise<RedisNodeClient> {
    const { app, timeout, makeClient } = this.#options;
    this.#finder ??= new NodeFinder(await makeClient(), app, timeout, this.#closing.signal);
    return this.#finder.find();
  }

  async #join(connection: Connection): Promise<Membership> {
    if (!this.#hasChecked) {
      const warning = await checkMemory(connection, this.#options.timeout);
      this.#hasChecked = true;
      if (warning) this.#events.onError(warning);
    }
    const fresh = randomUUID();
    const witness = new Witness(connection, this.#keys, this.#options.timeout);
    const name = await witness.ownName();
    const renewedAt = performance.now();
    let joined = await this.#askToJoin(connection, fresh, name);
    // While it asked, the hub was told that it is alone, and has forgotten the others.
    if (joined.isSame && this.#isAlone) joined = await this.#askToJoin(connection, fresh, name);
    if (!joined.isSame) this.#generation = fresh;
    return this.#onJoined(connection, witness, joined, renewedAt);
  }

  async #askToJoin(connection: Connection, fresh: string, name: string): Promise<JoinReply> {
    // Whoever was alone comes back as another member: the others' frames have not reached it.
    const known = this.#isAlone ? "" : this.#generation;
    const answer = await this.#call(connection, JOIN, [
      this.host,
      known,
      fresh,
      String(this.#limits.protocol),
      String(this.#options.lease),
      this.#epoch,
      String(this.#incoming.seen),
      newEpoch(),
      this.#seed,
      this.#secret || randomBytes(32).toString("hex"),
      name,
      ...this.#incoming.lastRead,
    ]);
    if (textOf(answer[0]) === Answer.protocol) throw this.#refused(textOf(answer[1]));
    return readJoin(answer);
  }

  #refused(theirs: string): HoldfastError {
    return new HoldfastError(
      "HOLDFAST_ERR_VERSION_MISMATCH",
      `The other hosts of "${this.#options.app}" speak version ${theirs} of the protocol, this one ` +
        `${this.#limits.protocol}. Install the same version of @holdfast/adapter on all hosts.`,
    );
  }

  #onJoined(connection: Connection, witness: Witness, joined: JoinReply, renewedAt: number): Membership {
    const { isSame, epoch, seed, secret, number, change, sequence, lastBatch, hosts } = joined;
    const wasAlone = this.#isAlone;
    clearTimeout(this.#alone);
    this.#alone = undefined;
    const isNewOrder = epoch !== this.#epoch || wasAlone;
    const old = this.#lastReader;
    // Whoever was one of the hosts all the time has missed nothing of an order that began meanwhile.
    const isPast = wasAlone || this.#epoch === "";
    if (isNewOrder) this.#incoming.beginOrder(number, sequence, isPast);
    else this.#incoming.goOn(number);
    if (isNewOrder && !wasAlone) this.#sender.sendAgain();
    if (!isSame) {
      this.#incoming.beginMembership(change);
      this.#sender.dropChanges();
    }
    this.#epoch = epoch;
    this.#secret = secret;
    this.#seed = seed;
    const cursors: Record<Stream, number> = {
      journal: isNewOrder ? 0 : (old?.cursor("journal") ?? 0),
      inbox: isSame ? (old?.cursor("inbox") ?? number) : number,
      changes: isSame ? (old?.cursor("changes") ?? number) : number,
    };
    const reader: Reader = new Reader(this.#keys, this.host, cursors, {
      beforeEntries: (record) => this.#confirm(membership, record),
      onEntry: (stream, entry) => this.#incoming.onEntry(stream, entry),
      afterEntries: () => this.#afterEntries(membership),
      onCaughtUp: () => this.#wake(),
    });
    this.#lastReader = reader;
    const membership: Membership = { connection, reader, witness, renewedAt };
    this.#state = { kind: "joined", membership };
    debug(
      "host %s joined %s (%s), %d others",
      this.host,
      this.#options.app,
      isSame ? "same" : "new",
      hosts.length,
    );
    if (isSame) this.#events.onBack();
    else this.#events.onJoined({ epoch, seed, secret, pastUpTo: isPast ? sequence : 0, hosts });
    this.#sender.start(lastBatch);
    this.#notice(() => witness.lookAround());
    return membership;
  }

  #afterEntries(membership: Membership): void {
    this.#events.onPause();
    if (this.#waiting.size > 0) this.#wake();
    // Redis must not take for unread what has been read.
    const isMuch = membership.reader.inboxBytes > this.#options.inboxBytes / 4;
    if (isMuch) this.#renew(membership).catch((error: unknown) => this.#onFailure(error));
  }

  /**
   * Waits with what was read until it is certain that the others do not take this host for gone; and if packets are
   * missing before this one, that Redis has said which places those of this host have.
   */
  #confirm(membership: Membership, record: StreamEntry | undefined): Promise<void> | undefined {
    const isYoung = performance.now() - membership.renewedAt < this.#options.lease;
    if (isYoung && !(record && this.#incoming.lacksBefore(record))) return undefined;
    // What was called before has been answered by then.
    return this.#renew(membership);
  }

  /** @param signal the membership has ended */
  async #keepLease(membership: Membership, signal: AbortSignal): Promise<never> {
    for (;;) {
      await sleep(this.#options.lease / 3, undefined, { signal, ref: false });
      await this.#renew(membership);
      await membership.witness.lookAround();
    }
  }

  async #renew(membership: Membership): Promise<void> {
    const { reader, connection } = membership;
    const startedAt = performance.now();
    const [, entries, bytes, lostUpTo] = await this.#callChecked(connection, RENEW, [
      String(this.#options.lease),
      String(reader.cursor("inbox")),
      String(reader.takeInboxBytes()),
      String(this.#options.journalTime + KEEP_MS),
      String(reader.cursor("journal")),
      String(this.#incoming.recordsUpTo),
      String(this.#incoming.inboxCount),
    ]);
    membership.renewedAt = startedAt;
    this.#unservedSince = undefined;
    this.#incoming.inboxLag.onLook(numberOf(entries), numberOf(bytes), startedAt);
    if (numberOf(lostUpTo) <= this.#incoming.recordsUpTo) return;
    this.#incoming.lose(numberOf(lostUpTo));
    this.#events.onPause();
    this.#wake();
  }

  async #callBatch(number: number, version: number, args: RedisArgument[]): Promise<readonly unknown[]> {
    const membership = this.#membership;
    if (!membership) throw this.#lastError;
    const { inboxBytes, journalBytes, journalTime } = this.#options;
    const answer = await this.#call(membership.connection, BATCH, [
      ...this.#identity(),
      String(number),
      String(version),
      String(inboxBytes),
      String(journalBytes),
      String(journalTime),
      ...args,
    ]);
    if (textOf(answer[0]) === Answer.ok) this.#unservedSince = undefined;
    return answer;
  }

  #identity(): string[] {
    return [this.host, this.#generation, this.#epoch, String(this.#incoming.seen)];
  }

  /** @throws {HoldfastError} `HOLDFAST_ERR_BACKPLANE_DOWN` if this host is not one of them any more */
  async #callChecked(
    connection: Connection,
    script: Script,
    args: RedisArgument[],
  ): Promise<readonly unknown[]> {
    const answer = await this.#call(connection, script, [...this.#identity(), ...args]);
    if (textOf(answer[0]) === Answer.ok) return answer;
    const error = lostMembership(textOf(answer[0]));
    this.#failMembership(error);
    throw error;
  }

  async #call(connection: Connection, script: Script, args: RedisArgument[]): Promise<readonly unknown[]> {
    const { state, prefix } = this.#keys;
    const calledAt = performance.now();
    const answer = await connection.script(script, [state], [prefix, ...args], this.#options.timeout);
    this.#roundTripMs = performance.now() - calledAt;
    return listOf(answer);
  }

  #onSessionLost(key: string): void {
    const name = key.slice(this.#keys.session("", "").length - 1);
    const end = name.lastIndexOf(":");
    this.#events.onSessionLost(name.slice(0, end), name.slice(end + 1));
  }

  #onAway(error: unknown): void {
    if (this.#isClosed) return;
    this.#lastError = asDown(error);
    debug("host %s is away: %s", this.host, this.#lastError.message);
    const now = performance.now();
    this.#unservedSince ??= now;
    if (this.#state.kind === "joined") {
      this.#state = { kind: "away", isTold: false };
      this.#wake();
      // Of lost connections the hub hears if they do not come back; of what Redis refuses, the user can say why.
      if (!(error instanceof HoldfastError)) this.#events.onError(this.#lastError);
      // As long as an answer was waited for, nobody need wait again; nor is it any use to join again and again when
      // Redis lets this host join, and refuses all else.
      const patienceMs = this.#options.timeout - (now - this.#unservedSince);
      this.#waitAlone(this.#lastError.cause === SILENCE ? 0 : Math.max(0, patienceMs));
    }
    // More time will not help.
    if (this.#lastError.code === "HOLDFAST_ERR_VERSION_MISMATCH") this.#onAlone();
  }

  #waitAlone(ms = this.#options.timeout): void {
    clearTimeout(this.#alone);
    this.#alone = setTimeout(() => this.#onAlone(), ms);
  }

  #onAlone(): void {
    clearTimeout(this.#alone);
    if (this.#state.kind !== "away" || this.#state.isTold) return;
    this.#state = { kind: "away", isTold: true };
    this.#wake();
    this.#sender.dropAll();
    this.#events.onAlone(this.#lastError);
  }
}
