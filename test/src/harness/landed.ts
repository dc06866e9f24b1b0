/** What happens while sessions move, in the moment in which one of them has. Runs in: tests. */
import type { RemoteProcess } from "@holdfast/harness";
import type { Context } from "./context.js";

/**
 * Has the primary send `signal` to a worker's process when so many sessions have moved, before it goes on: whoever hears of it
 * elsewhere may be late, when all have.
 */
export async function signalWhenLanded(
  { primary }: { readonly primary: RemoteProcess<Pick<Context, "import">> },
  worker: { readonly pid: number },
  signal: NodeJS.Signals,
  sessions = 1,
): Promise<void> {
  await primary.run(
    async (ctx, pid, name, count) => {
      const { subscribe } = await ctx.import("node:diagnostics_channel");
      let landed = 0;
      subscribe("holdfast:sticky:landed", () => {
        if (++landed === count) process.kill(pid, name);
      });
    },
    worker.pid,
    signal,
    sessions,
  );
}
