/** Joins and leaves rooms, as fast as the loop allows or at a pace. Runs in: workers. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Commands } from "@holdfast/harness";
import type { WorkerContext } from "../nodes/config.js";
import { connectSink } from "./sink.js";

export async function start({ io, index }: WorkerContext): Promise<Commands> {
  let arrived: string[] = [];
  const socket = await connectSink(io, `joiner-${index}-0123456789`, (data, start) => {
    const text = typeof data === "string" ? data : Buffer.from(data).toString();
    if (text[start] === "2") arrived.push(text.slice(start + 1));
  });
  const names = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix} ${i}`);

  return {
    /** Joins `perTurn` rooms in one turn and leaves them in a later one, for `ms`. @returns rooms joined and left */
    joinAndLeave: async (perTurn: number, ms: number) => {
      const end = performance.now() + ms;
      let done = 0;
      while (performance.now() < end) {
        // New strings and new rooms each time, as from messages of clients.
        const rooms = names(`room of worker ${index}, turn ${done / perTurn},`, perTurn);
        // Promises of joins of one turn are kept in order, so the last one stands for all.
        let last: unknown;
        for (const room of rooms) last = socket.join(room);
        await last;
        await nextTurn();
        for (const room of rooms) last = socket.leave(room);
        await last;
        await nextTurn();
        done += perTurn;
      }
      return done;
    },
    /**
     * Joins and leaves so many rooms in one turn, one turn each `everyMs`, for `ms`; the rooms of one turn are left in
     * the next. @returns rooms joined and left
     */
    joinAndLeaveAtPace: async (perTurn: number, everyMs: number, ms: number) => {
      const end = performance.now() + ms;
      let turns = 0;
      let before: string[] = [];
      await new Promise<void>((done) => {
        const timer = setInterval(() => {
          const isOver = performance.now() >= end;
          const rooms = isOver ? [] : names(`room of worker ${index}, turn ${turns++},`, perTurn);
          for (const room of rooms) void socket.join(room);
          for (const room of before) void socket.leave(room);
          before = rooms;
          if (!isOver) return;
          clearInterval(timer);
          done();
        }, everyMs);
      });
      return turns * perTurn;
    },
    join: async (prefix: string, count: number, perTurn: number) => {
      const rooms = names(prefix, count);
      for (let i = 0; i < count; i += perTurn) {
        await socket.join(rooms.slice(i, i + perTurn));
        await nextTurn();
      }
    },
    leave: async (prefix: string, count: number, perTurn: number) => {
      const rooms = names(prefix, count);
      for (let i = 0; i < count; i += perTurn) {
        let last: unknown;
        for (const room of rooms.slice(i, i + perTurn)) last = socket.leave(room);
        await last;
        await nextTurn();
      }
    },
    rooms: () => socket.rooms.size,
    say: (room: string, text: string) => {
      io.to(room).emit(text);
    },
    /** What has arrived since the last question. */
    arrived: () => {
      const texts = arrived;
      arrived = [];
      return texts;
    },
  };
}
