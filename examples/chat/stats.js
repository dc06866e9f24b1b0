/** Measures this worker. Runs in: workers. */
import { monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 10;

/** Returns a function that gives the figures since its last call. */
export function measure(io, chat) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  let lastAt = performance.now();
  let lastTaken = 0;

  return () => {
    const now = performance.now();
    const taken = chat.messagesTaken();
    const figures = {
      pid: process.pid,
      connections: io.engine.clientsCount,
      rooms: chat.rooms().length,
      // The histogram holds the whole interval between two looks; the delay is what exceeds the plan.
      delayMs: Math.max(0, delay.percentile(99) / 1e6 - RESOLUTION_MS),
      messagesPerSecond: ((taken - lastTaken) * 1000) / (now - lastAt),
    };
    delay.reset();
    lastAt = now;
    lastTaken = taken;
    return figures;
  };
}
