/**
 * A server for real clients: broadcasts to all of them, echoes, and answers a plain GET.
 * Runs in: workers.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Commands } from "@holdfast/harness";
import type { WorkerContext } from "../nodes/config.js";
import { Emitter, type Pace } from "./emitter.js";
import { EVENT, numbered } from "./sequence.js";
import { stamp } from "./stamp.js";

export const PLAIN_PATH = "/hello";
export const PLAIN_BODY = "Hello, this is an answer without a session.";

/** What events carry besides their number and the time. */
export const FILLER = "x".repeat(74);
const SETTLE_MS = 20_000;

export function start({ io, httpServer, agent }: WorkerContext): Commands {
  httpServer.on("request", (request, response) => {
    if (request.url === PLAIN_PATH) response.end(PLAIN_BODY);
  });
  io.on("connection", (socket) => {
    socket.on("e", (value) => socket.emit("e", value));
  });
  const emitter = new Emitter(agent, (first, count) => {
    for (let sequence = first; sequence < first + count; sequence++) {
      io.emit(EVENT, numbered(sequence), stamp() + FILLER);
    }
  });
  return {
    emit: (pace: Pace) => emitter.run(pace),
    /** Waits until `clients` are connected to this worker; @returns how many are. */
    settled: async (clients: number) => {
      const end = performance.now() + SETTLE_MS;
      while (io.engine.clientsCount !== clients && performance.now() < end) await sleep(10);
      return io.engine.clientsCount;
    },
    clients: () => io.engine.clientsCount,
    /** Has each client join `count` rooms out of `rooms`. */
    joinEach: async (count: number, rooms: number) => {
      let next = 0;
      for (const socket of io.sockets.sockets.values()) {
        const names = Array.from({ length: count }, () => `room ${next++ % rooms}`);
        await socket.join(names);
      }
    },
    /** Settles when the other side of the adapter knows what this worker has told it. */
    told: () => io.of("/").adapter.serverCount(),
  };
}
