/** What workers report to `onError`, for tests that expect it. Runs in: tests, and where it says so in workers. */
import type { RemoteWorker } from "./cluster.js";
import type { WorkerContext } from "./context.js";

export interface Told {
  readonly code: string;
  readonly message: string;
}

/** For `setUpWorker`: keeps what is told, which is a warning by default, and keeps Node.js from printing it. */
export function keepTold({ store }: WorkerContext): void {
  store.told = [];
  process.removeAllListeners("warning");
  process.on("warning", (warning) => {
    const { code, message } = warning as Error & { code?: string };
    store.told.push({ code, message });
  });
}

/** Waits until a worker is told something, and gives all that it was told since the last call. */
export async function untilTold(worker: RemoteWorker): Promise<Told[]> {
  await worker.run((ctx) => ctx.until(() => ctx.store.told.length > 0));
  return told(worker);
}

/** What a worker was told since the last call. */
export async function told(worker: RemoteWorker): Promise<Told[]> {
  // A warning is emitted in a turn of its own.
  return worker.run(async (ctx) => {
    await new Promise(setImmediate);
    return ctx.store.told.splice(0);
  });
}
