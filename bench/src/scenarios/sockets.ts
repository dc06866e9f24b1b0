/** Many sockets without a network, to be fetched. Runs in: workers. */
import type { Commands } from "@holdfast/harness";
import type { WorkerContext } from "../nodes/config.js";
import { connectSink } from "./sink.js";

export interface SocketsOptions {
  readonly perWorker: number;
}

export async function start({ io, index, config }: WorkerContext): Promise<Commands> {
  const { perWorker } = config.options as SocketsOptions;
  for (let i = 0; i < perWorker; i++) {
    const socket = await connectSink(io, `w${index}-s${String(i).padStart(16, "0")}`, () => {});
    socket.data = { user: `user ${i}`, since: 1_700_000_000 + i };
    await socket.join(["everybody", `group ${i % 10}`]);
  }
  return {
    /** Fetches all sockets again and again for `ms`. @returns how often, and each count of sockets that was seen */
    fetch: async (ms: number) => {
      const counts = new Set<number>();
      const end = performance.now() + ms;
      let calls = 0;
      do {
        counts.add((await io.fetchSockets()).length);
        calls++;
      } while (performance.now() < end);
      return { calls, counts: [...counts] };
    },
  };
}
