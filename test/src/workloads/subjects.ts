/**
 * The clients of a workload: each records what it got, for {@link check} of the harness to judge.
 * Owns: the clients, until they are closed. Runs in: tests.
 */
import { within } from "@holdfast/harness";
import type { RemoteWorker } from "../harness/cluster.js";
import type { ClientHistory, Connect, Message } from "../harness/history-check.js";
import { RecoveringClient } from "../harness/recovering-client.js";

const ROOMS_PER_CLIENT = 4;
const SETTLE_MS = 60_000;
/** Of the clients, in turn. */
const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];
const EPOCH_CHARS = 4;

/** One client with its history. */
export class Subject {
  readonly client: RecoveringClient;
  readonly history: { client: string; rooms: string[]; events: (Message | Connect)[] };
  /** Senders whose last message has arrived. */
  readonly ended = new Set<string>();
  readonly #lastTransport: string | undefined;

  constructor(url: string, name: string, rooms: string[], transports: string[]) {
    this.#lastTransport = transports.at(-1);
    this.history = { client: name, rooms: [`@${name}`, ...rooms], events: [] };
    this.client = new RecoveringClient(url, {
      transports,
      auth: { name, rooms },
      reconnectionDelay: 5,
      reconnectionDelayMax: 200,
    });
    const { socket } = this.client;
    socket.on("connect", () => this.history.events.push({ type: "connect", recovered: socket.recovered }));
    // Before the client's own bookkeeping, which cuts the offset off.
    socket.on("m", (sender: string, number: number, room: string | null, offset: string) => {
      if (room === null) this.ended.add(sender);
      const place = Number.parseInt(offset.slice(EPOCH_CHARS), 36);
      this.history.events.push({ type: "message", sender, number, room: room ?? undefined, place });
    });
  }

  /** Its server has said something to it. */
  get isGreeted(): boolean {
    return this.history.events.length >= 2;
  }

  get isUpgraded(): boolean {
    return this.client.socket.io.engine.transport.name === this.#lastTransport;
  }
}

/** @param rooms each client is in some of them */
export function openSubjects(url: string, count: number, rooms: readonly string[]): Subject[] {
  return Array.from({ length: count }, (_, i) => {
    const own = Array.from(
      { length: ROOMS_PER_CLIENT },
      (_, k) => rooms[(i * ROOMS_PER_CLIENT + k) % rooms.length] as string,
    );
    return new Subject(url, `c${i}`, own, TRANSPORTS[i % TRANSPORTS.length] as string[]);
  });
}

/** Has the workers send their last messages, and waits until all clients have them. */
export async function stopAll(
  subjects: readonly Subject[],
  workers: readonly RemoteWorker[],
): Promise<{ histories: ClientHistory[]; messages: number }> {
  await until(() => subjects.every(({ client }) => client.socket.connected), "all clients again");
  const senders: string[] = [];
  for (const worker of workers) senders.push((await worker.run((ctx) => ctx.store.stop())) as string);
  const isComplete = ({ ended }: Subject) => senders.every((sender) => ended.has(sender));
  await until(() => subjects.every(isComplete), "the last message at every client");
  const histories = subjects.map(({ history }) => history);
  const places = histories.flatMap(({ events }) =>
    events.flatMap((event) => (event.type === "message" ? event.place : [])),
  );
  return { histories, messages: new Set(places).size };
}

export function pick<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)] as T;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Looks every now and then: the clients live in this process, there is nothing else to wait for. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const met = new Promise<void>((resolve) => {
    timer = setInterval(() => condition() && resolve(), 20);
  });
  try {
    await within(met, what, SETTLE_MS);
  } finally {
    clearInterval(timer);
  }
}
