/** The next server of a worker whose first one was closed. Runs in: workers. */
import type { WorkerContext } from "./context.js";

/** Opens it, and makes it the one of the context. */
export async function openAnew(ctx: WorkerContext, options: object = {}): Promise<void> {
  const { Server } = await ctx.import("socket.io");
  const { createAdapter } = (await ctx.import("@holdfast/adapter")) as typeof import("@holdfast/adapter");
  Object.assign(ctx, { io: new Server({ adapter: createAdapter() as never, ...options }) });
}
