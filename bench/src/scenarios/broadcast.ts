/**
 * Broadcasts to rooms, received by clients without a network ({@link connectSink}).
 * Runs in: workers.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Commands } from "@holdfast/harness";
import type { WorkerContext } from "../nodes/config.js";
import { Emitter, type Pace } from "./emitter.js";
import { bodyOf, encodedLength, type Payload } from "./payload.js";
import { Receiver } from "./receiver.js";
import { EVENT, numbered, sequenceOf } from "./sequence.js";
import { connectSink } from "./sink.js";
import { monotonicMicros, STAMP_CHARS, stamp, stampOf } from "./stamp.js";

const LOOK_MS = 20;

export interface BroadcastOptions {
  readonly payload: Payload;
  /** 1: one room with a member on every worker. More: room i has one member, on worker i mod W. */
  readonly rooms: number;
  /** How many workers of each host have a member of the one room. @default all */
  readonly listeners?: number;
  /** Whether events carry the time, in the place of the first characters of a text. */
  readonly timed?: boolean;
}

export async function start({ io, agent, index, config }: WorkerContext): Promise<Commands> {
  const { payload, rooms, listeners = config.workers, timed = false } = config.options as BroadcastOptions;
  const { workers, before } = config.among ?? { workers: config.workers, before: 0 };
  const receiver = new Receiver(agent);
  const length = encodedLength(payload);
  // With recovery there is an offset behind it, whose form is the adapter's own.
  const isWhole = (bytes: number) => (config.setup.recovery ? bytes > length : bytes === length);
  let delays: number[] = [];
  const socket = await connectSink(io, `sink-${index}-0123456789`, (data, offset) => {
    const sequence = sequenceOf(data, offset);
    if (timed && sequence >= 0) delays.push(monotonicMicros() - stampOf(data as Uint8Array, offset));
    if (sequence >= 0) receiver.add(isWhole(data.length - offset) ? sequence : -1);
    else if (typeof data !== "string" && data.length - offset === payload.bytes) receiver.attachments++;
  });
  const mine = (room: number) => (rooms === 1 ? index - before <= listeners : room % workers === index - 1);
  const names = Array.from({ length: rooms }, (_, i) => `room ${i}`);
  await socket.join(names.filter((_, i) => mine(i)));

  const body = bodyOf(payload);
  const bodyNow = timed ? () => stamp() + String(body).slice(STAMP_CHARS) : () => body;
  const emitter = new Emitter(agent, (first, count) => {
    for (let sequence = first; sequence < first + count; sequence++) {
      io.to(names[(sequence - 1) % rooms] ?? "").emit(EVENT, numbered(sequence), bodyNow());
    }
  });
  return {
    expect: (first: number, step: number, ackEvery: number) => receiver.expect(first, step, ackEvery),
    until: (upTo: number, ms: number) => receiver.until(upTo, ms),
    emit: (pace: Pace) => emitter.run(pace),
    /** Waits until so many workers know each other, those of other hosts among them. */
    untilServers: async (count: number) => {
      while ((await io.of("/").adapter.serverCount()) < count) await sleep(LOOK_MS);
    },
    /** Microseconds from emit to arrival since the last call. */
    delays: () => {
      const taken = delays;
      delays = [];
      return taken;
    },
  };
}
