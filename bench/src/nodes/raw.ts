/**
 * The physical limit for a hub: a star of stdio pipes. The primary copies every chunk of bytes from a
 * worker to all others, looks at nothing and keeps nothing. A worker that emits writes one buffer a turn;
 * a worker that receives counts bytes. Frames have the size of the payload and a small head.
 * Program: runs as the primary and, started with an index, as each worker.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Agent, readConfig } from "@holdfast/harness";
import { USAGE_COMMANDS } from "../lib/usage.js";
import type { BroadcastOptions } from "../scenarios/broadcast.js";
import { Emitter, type Pace } from "../scenarios/emitter.js";
import { Receiver } from "../scenarios/receiver.js";
import type { NodeConfig } from "./config.js";

/** About what any protocol needs: length, kind, room. */
const HEAD_BYTES = 24;
const PIPE_FD = 3;

const config = readConfig<NodeConfig>();
const frameBytes = HEAD_BYTES + (config.options as BroadcastOptions).payload.bytes;
const index = Number(process.env.HOLDFAST_BENCH_INDEX ?? 0);
const agent = new Agent();
if (index === 0) runPrimary();
else runWorker();

function runPrimary(): void {
  const pipes = Array.from({ length: config.workers }, (_, i) => {
    const child: ChildProcess = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? ""], {
      stdio: ["ignore", "inherit", "inherit", "pipe"],
      env: { ...process.env, HOLDFAST_BENCH_INDEX: String(i + 1) },
    });
    return child.stdio[PIPE_FD] as Duplex;
  });
  for (const pipe of pipes) {
    const others = pipes.filter((other) => other !== pipe);
    pipe.on("data", (chunk) => {
      for (const other of others) other.write(chunk);
    });
    // A worker that ends resets its pipe; the bench notices by itself.
    pipe.on("error", () => {});
  }
  agent.ready({ role: "primary", workerId: 0, port: 0 }, { ...USAGE_COMMANDS, stats: () => undefined });
}

function runWorker(): void {
  const pipe = new Socket({ fd: PIPE_FD, readable: true, writable: true });
  const receiver = new Receiver(agent);
  let partial = 0;
  let last = 0;
  pipe.on("data", (chunk) => {
    partial += chunk.length;
    for (; partial >= frameBytes; partial -= frameBytes) receiver.add(++last);
  });
  let buffer = Buffer.alloc(0);
  const emitter = new Emitter(agent, (_, count) => {
    const size = count * frameBytes;
    if (buffer.length !== size) buffer = Buffer.alloc(size, 0x61);
    pipe.write(buffer);
    // The emitter has a member too, as everywhere.
    for (let i = 0; i < count; i++) receiver.add(++last);
  });
  agent.ready(
    { role: "worker", workerId: index, port: 0 },
    {
      ...USAGE_COMMANDS,
      expect: (first: number, step: number, ackEvery: number) => {
        last = first - 1;
        receiver.expect(first, step, ackEvery);
      },
      until: async (upTo: number, ms: number) => {
        const received = await receiver.until(upTo, ms);
        // Bytes are bytes here: an attachment is part of its frame.
        return { ...received, attachments: received.count };
      },
      emit: (pace: Pace) => emitter.run(pace),
    },
  );
}
