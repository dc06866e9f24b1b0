/** A server with recovery, whose clients are in rooms of their own and in one of all. Runs in: workers. */
import type { Commands } from "@holdfast/harness";
import type { WorkerContext } from "../nodes/config.js";
import { EVENT, numbered } from "./sequence.js";

const ROOMS_OF_A_CLIENT = 20;
const ROOMS_OF_OTHERS = 1_000;
const FILLER = "x".repeat(80);

export function start({ io }: WorkerContext): Commands {
  let clients = 0;
  io.on("connection", (socket) => {
    if (socket.recovered) return;
    const first = clients++ * ROOMS_OF_A_CLIENT;
    const rooms = Array.from({ length: ROOMS_OF_A_CLIENT }, (_, i) => `room ${first + i}`);
    void socket.join(["all", ...rooms]);
  });
  return {
    /** Emits the next events to all clients. */
    tell: async (first: number, count: number) => {
      for (let sequence = first; sequence < first + count; sequence++) {
        io.to("all").emit(EVENT, numbered(sequence));
        await io.of("/").adapter.serverCount();
      }
    },
    /** Emits so many events to rooms that nobody is in. */
    tellOthers: async (count: number) => {
      for (let left = count; left > 0; left -= ROOMS_OF_OTHERS) {
        for (let i = 0; i < ROOMS_OF_OTHERS; i++) io.to(`others ${i}`).emit(EVENT, FILLER);
        // The hub has taken them.
        await io.of("/").adapter.serverCount();
      }
    },
  };
}
