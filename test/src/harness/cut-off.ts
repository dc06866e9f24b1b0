/**
 * Cuts a worker off from the hub as a stall does, without the flood: it loses its link, stands still for as long as
 * the test likes, and is taken back when it goes on.
 * A file says when, not a signal: SIGCONT can come before the worker has stopped. Runs in: tests, fixture processes.
 */
import { randomUUID } from "node:crypto";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RemoteWorker } from "./cluster.js";
import type { WorkerContext } from "./context.js";

const LOOK_MS = 5;

/** In the worker: what a hub says to a member that it has cut off. */
export function loseLink(): void {
  process.on("warning", () => {});
  process.emit("message", { "holdfast:adapter": "invite" }, undefined);
  // A member of a hub with a socket hears nothing of its parent: there, the hub ends the link.
  for (const member of socketMembers()) member.loseLink();
}

/** What the adapter has once in a process lies in the global object. */
function socketMembers(): { loseLink(): void }[] {
  const scope = globalThis as unknown as Record<symbol, unknown>;
  const tables = Object.getOwnPropertySymbols(scope)
    .filter((symbol) => symbol.description?.startsWith("@holdfast/adapter"))
    .map((symbol) => scope[symbol] as Map<string, unknown>);
  return tables.flatMap((table) =>
    [...table]
      .filter(([name]) => name.startsWith("member "))
      .map(([, member]) => member as { loseLink(): void }),
  );
}

/** In the worker: blocks the event loop until the test has made the file. */
export function standStill(untilFile: string): void {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  while (!existsSync(untilFile)) Atomics.wait(clock, 0, 0, LOOK_MS);
  rmSync(untilFile);
}

/** A worker that stands still. */
export class CutOff {
  readonly #file = join(tmpdir(), `hf-${randomUUID()}`);
  readonly #woken: Promise<unknown>;

  /** @param then what it still does when its link is gone */
  constructor(worker: RemoteWorker, then = (_ctx: WorkerContext): unknown => undefined) {
    this.#woken = worker.run(
      async (ctx, source, file) => {
        ctx.loseLink();
        new Function(`return (${source});`)()(ctx);
        ctx.standStill(file);
      },
      then.toString(),
      this.#file,
    );
    // Told by `wake()`; a test that fails before does not get there.
    this.#woken.catch(() => {});
  }

  /** Settles when it goes on; it may not have joined again by then. */
  async wake(): Promise<void> {
    writeFileSync(this.#file, "");
    await this.#woken;
  }
}
