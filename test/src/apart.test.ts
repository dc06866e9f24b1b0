/** Each package does its work beside the official counterpart of the other. */
import { within } from "@holdfast/harness";
import { io, type Socket } from "socket.io-client";
import { afterEach, describe, expect, it } from "vitest";
import { startsClusters } from "./harness/after-each.js";
import type { ClusterConfig } from "./harness/context.js";

const PAIRS = [
  { adapter: "@holdfast/adapter", sticky: "@socket.io/sticky" },
  { adapter: "@socket.io/cluster-adapter", sticky: "@holdfast/sticky" },
] as const satisfies ClusterConfig[];

/**
 * The official router drops what arrives in the primary while a connection is on its way to a worker: of
 * some hundred connections one stays mute. That is not what is tested here, so its cluster may try again.
 */
const RETRIES = { "@socket.io/sticky": 3, "@holdfast/sticky": 0 } as const;
const ANSWER_WITHIN_MS = 5_000;

const TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]];

describe.each(PAIRS)("$adapter under $sticky", ({ adapter, sticky }) => {
  // The official packages send Buffers over IPC, which needs this.
  const start = startsClusters({ adapter, sticky, serialization: "advanced" });
  let sockets: Socket[] = [];

  afterEach(() => {
    for (const socket of sockets) socket.disconnect();
    sockets = [];
  });

  /** Connects and waits for the process that serves it. */
  async function connect(url: string, transports: string[]): Promise<{ socket: Socket; pid: number }> {
    const socket = io(url, { transports, forceNew: true });
    sockets.push(socket);
    const connected = new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    await within(connected, `connection over ${transports}`, ANSWER_WITHIN_MS);
    return { socket, pid: (await ask(socket, "which")) as number };
  }

  const ask = (socket: Socket, event: string, ...args: unknown[]): Promise<unknown> =>
    socket.timeout(ANSWER_WITHIN_MS).emitWithAck(event, ...args);

  const options = { retry: RETRIES[sticky] };

  it("serves clients from several workers and carries broadcasts and requests", options, async () => {
    const cluster = await start({
      setUpWorker: ({ io }) => {
        io.on("connection", (socket) => {
          socket.on("which", (answer) => answer(process.pid));
          socket.on("join", (room, answer) => Promise.resolve(socket.join(room)).then(() => answer()));
        });
        io.on("name", (answer) => answer(process.pid));
      },
    });
    const clients: { socket: Socket; pid: number }[] = [];
    for (const transports of [...TRANSPORTS, ...TRANSPORTS])
      clients.push(await connect(cluster.url, transports));
    const pids = new Set(clients.map(({ pid }) => pid));
    expect(pids).toEqual(new Set(cluster.workers.map(({ pid }) => pid)));

    // a broadcast from each worker reaches every client once
    for (const worker of cluster.workers) {
      const heard = clients.map(
        ({ socket }) => new Promise<unknown>((resolve) => socket.once(`news ${worker.pid}`, resolve)),
      );
      await worker.run(({ io }, event) => void io.emit(event, Buffer.from([1, 2, 3])), `news ${worker.pid}`);
      const bytes = (await within(Promise.all(heard), "broadcast", ANSWER_WITHIN_MS)) as Uint8Array[];
      expect(bytes.map((data) => [...Buffer.from(data as unknown as ArrayBuffer)])).toEqual(
        clients.map(() => [1, 2, 3]),
      );
    }

    // one room with a client of each worker, seen from each worker
    const members: { socket: Socket; pid: number }[] = [];
    for (const pid of pids) {
      const client = clients.find((one) => one.pid === pid);
      if (client) members.push(client);
    }
    for (const { socket } of members) await ask(socket, "join", "tea");
    const ids = members.map(({ socket }) => socket.id).sort();
    for (const worker of cluster.workers) {
      const found = await worker.run(async ({ io }) =>
        (await io.in("tea").fetchSockets()).map(({ id }) => id).sort(),
      );
      expect(found).toEqual(ids);
      const others = await worker.run(({ io }) => io.serverSideEmitWithAck("name"));
      expect(others).toEqual([...pids].filter((pid) => pid !== worker.pid));
    }
  });
});
