/**
 * What the superset rule promises about who gets which broadcast, while operations of several workers are on their
 * way at the same time. Pure: the test tells it what is done, in the order in which it is done.
 * Runs in: tests.
 *
 * Everything that one worker sends arrives in order, so an operation's effect is certain for what the same worker
 * sends later, and uncertain for everybody else until a fence. What is uncertain may go either way.
 *
 * A join counts from the call, for everybody. Until the hub has certainly heard of it, what is sent to the room may come
 * late: behind what the same worker has sent after it.
 */

/** A worker's place in the cluster; a respawned worker takes its predecessor's. */
export type Slot = number;

/** Whether a client is in a room; `since` is the worker whose operation made it so and is on its way. */
interface Membership {
  readonly is: "in" | "out" | "unknown";
  readonly since?: Slot;
}

type Answer = "yes" | "no" | "maybe";

const OUT: Membership = { is: "out" };
const UNKNOWN: Membership = { is: "unknown" };

interface Change {
  readonly from: Slot;
  readonly selected: readonly string[];
  readonly room: string;
}

interface Broadcast {
  readonly n: number;
  readonly from: Slot;
  readonly rooms: readonly string[];
  readonly except: readonly string[];
}

export class ModelClient {
  /** Who gets what: numbers of broadcasts that must and may arrive; all others must not. */
  readonly must = new Set<number>();
  readonly may = new Set<number>();
  /** Of those that must, which may come late. */
  readonly late = new Set<number>();
  readonly rooms = new Map<string, Membership>();

  constructor(
    readonly id: string,
    readonly slot: Slot,
  ) {
    this.rooms.set(id, { is: "in" });
  }

  /** It is uncertain from now on whether the broadcast arrives. */
  doubt(n: number): void {
    this.must.delete(n);
    this.may.add(n);
  }
}

export class InterestModel {
  readonly clients = new Set<ModelClient>();
  /** Rooms for which joins of the worker count, and of these those that the hub certainly knows of. */
  readonly #joined = new Map<Slot, Set<string>>();
  readonly #known = new Map<Slot, Set<string>>();
  /** Since the last fence. */
  #changes: Change[] = [];
  #broadcasts: Broadcast[] = [];

  connect(id: string, slot: Slot): ModelClient {
    const client = new ModelClient(id, slot);
    const changes = this.#changes.filter(({ from }) => from !== slot);
    const found = changes.some(({ selected }) => selected.length === 0);
    if (found) for (const { room } of changes) client.rooms.set(room, UNKNOWN);
    for (const { n, from, rooms } of this.#broadcasts) {
      if (from !== slot && (rooms.length === 0 || found)) client.doubt(n);
    }
    this.clients.add(client);
    return client;
  }

  /** The client is gone: what was on its way to it may not have arrived. */
  disconnect(client: ModelClient): void {
    this.clients.delete(client);
    for (const { n, from } of this.#broadcasts) {
      if (from !== client.slot && client.must.has(n)) client.doubt(n);
    }
    this.#forgetEmptyRooms();
  }

  /** The client's own worker makes it join or leave. */
  change(client: ModelClient, room: string, is: "in" | "out"): void {
    this.#apply(client, client.slot, room, is, "yes");
    this.#joined.set(client.slot, this.#certainRooms(client.slot));
    this.#forgetEmptyRooms();
  }

  /** The worker has waited for a join: the hub knows its rooms. */
  synced(slot: Slot): void {
    this.#joined.set(slot, this.#certainRooms(slot));
    this.#known.set(slot, this.#certainRooms(slot));
  }

  /** `io.in(selected).socketsJoin(room)` or `socketsLeave(room)`. */
  changeAll(from: Slot, selected: readonly string[], room: string, is: "in" | "out"): void {
    const reach = [...this.clients].map(
      (client) => [client, this.#reaches(client, from, selected, [])] as const,
    );
    this.#changes.push({ from, selected, room });
    for (const [client, certain] of reach) {
      if (certain !== "no") this.#apply(client, from, room, is, certain);
    }
    this.#forgetEmptyRooms();
  }

  broadcast(broadcast: Broadcast): void {
    const { n, from, rooms, except } = broadcast;
    this.#broadcasts.push(broadcast);
    for (const client of this.clients) {
      const reaches = this.#reaches(client, from, rooms, except);
      if (reaches === "yes") {
        client.must.add(n);
        if (!this.#isInTime(client, from, rooms)) client.late.add(n);
      } else if (reaches === "maybe") client.may.add(n);
    }
  }

  /** The worker was killed: what it sent last may be lost. */
  kill(slot: Slot): void {
    for (const client of [...this.clients]) {
      if (client.slot === slot) {
        this.disconnect(client);
        continue;
      }
      for (const { n, from } of this.#broadcasts) if (from === slot && client.must.has(n)) client.doubt(n);
      for (const [room, { since }] of client.rooms) if (since === slot) client.rooms.set(room, UNKNOWN);
    }
    this.#joined.delete(slot);
    this.#known.delete(slot);
  }

  /**
   * Nothing is on its way any more, and the hub knows all rooms.
   * @param actual the rooms of each client, as its worker has them
   * @returns what was certain and is not so
   */
  fence(actual: ReadonlyMap<string, readonly string[]>): string[] {
    const wrong: string[] = [];
    for (const client of this.clients) {
      const rooms = new Set(actual.get(client.id));
      for (const [room, { is }] of client.rooms) {
        if (is !== "unknown" && (is === "in") !== rooms.has(room))
          wrong.push(`${client.id} is not ${is} ${room}`);
      }
      for (const room of rooms) {
        if (!client.rooms.has(room)) wrong.push(`${client.id} is in ${room}`);
      }
      client.rooms.clear();
      for (const room of rooms) client.rooms.set(room, { is: "in" });
    }
    this.#changes = [];
    this.#broadcasts = [];
    for (const slot of new Set([...this.clients].map((client) => client.slot))) this.synced(slot);
    return wrong;
  }

  #apply(client: ModelClient, from: Slot, room: string, is: "in" | "out", certain: Answer): void {
    const before = client.rooms.get(room) ?? OUT;
    const inOrder = before.is !== "unknown" && (before.since === undefined || before.since === from);
    // A change that comes later at its own worker may still overtake another one that is on its way there.
    const raced = this.#changes.some((change) => change.from !== from && change.room === room);
    if (certain !== "yes" || !inOrder || raced) client.rooms.set(room, UNKNOWN);
    else client.rooms.set(room, from === client.slot ? { is } : { is, since: from });

    for (const { n, from: sender, rooms, except } of this.#broadcasts) {
      if (sender === from || sender === client.slot) continue;
      if (rooms.includes(room) || except.includes(room)) client.doubt(n);
    }
    // A change on its way that depends on this room may find it either way, and what depends on that one as well.
    if (!this.#changes.some((change) => change.from !== from && change.selected.includes(room))) return;
    for (const change of this.#changes) {
      if (change.from !== client.slot) this.#loseTrack(client, change.room, from);
    }
  }

  #loseTrack(client: ModelClient, room: string, from: Slot): void {
    client.rooms.set(room, UNKNOWN);
    for (const { n, from: sender, rooms, except } of this.#broadcasts) {
      if (sender === client.slot || sender === from) continue;
      if (rooms.includes(room) || except.includes(room)) client.doubt(n);
    }
  }

  /** Whether something that `from` sends now to these rooms reaches the client. */
  #reaches(client: ModelClient, from: Slot, rooms: readonly string[], except: readonly string[]): Answer {
    const excepted = except.map((room) => this.#isIn(client, from, room));
    if (excepted.includes("yes")) return "no";
    const found = rooms.length === 0 ? "yes" : this.#findsAny(client, from, rooms);
    return found === "yes" && excepted.includes("maybe") ? "maybe" : found;
  }

  #findsAny(client: ModelClient, from: Slot, rooms: readonly string[]): Answer {
    let found: Answer = "no";
    for (const room of rooms) {
      const member = this.#isIn(client, from, room);
      if (member === "no") continue;
      if (member === "yes" && this.#isRouted(client, from, room)) return "yes";
      found = "maybe";
    }
    return found;
  }

  #isIn(client: ModelClient, from: Slot, room: string): Answer {
    const { is, since } = client.rooms.get(room) ?? OUT;
    if (is === "unknown" || (since !== undefined && since !== from)) return "maybe";
    return is === "in" ? "yes" : "no";
  }

  #isRouted(client: ModelClient, from: Slot, room: string): boolean {
    if (client.slot === from || client.rooms.get(room)?.since === from) return true;
    return this.#joined.get(client.slot)?.has(room) ?? false;
  }

  /** Whether the hub knows by then that the client's worker has one of the rooms. */
  #isInTime(client: ModelClient, from: Slot, rooms: readonly string[]): boolean {
    if (client.slot === from || rooms.length === 0) return true;
    return rooms.some(
      (room) => client.rooms.get(room)?.since === from || this.#known.get(client.slot)?.has(room) === true,
    );
  }

  /** Workers tell the hub when nobody is left in a room. */
  #forgetEmptyRooms(): void {
    for (const bySlot of [this.#joined, this.#known]) {
      for (const [slot, rooms] of bySlot) {
        const used = this.#certainRooms(slot);
        for (const room of rooms) if (!used.has(room)) rooms.delete(room);
      }
    }
  }

  /** Rooms that certainly have a client of the worker. */
  #certainRooms(slot: Slot): Set<string> {
    const certain = new Set<string>();
    for (const { rooms, slot: at } of this.clients) {
      if (at !== slot) continue;
      for (const [room, { is, since }] of rooms) if (is === "in" && since === undefined) certain.add(room);
    }
    return certain;
  }
}
