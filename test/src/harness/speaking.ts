/**
 * Traffic both ways between a supervised cluster and its clients, for as long as a test likes: who misses something or hears
 * it twice finds a number missing, or twice. Runs in: tests.
 */
import { expect } from "vitest";
import type { RecoveringClient } from "./recovering-client.js";
import type { Supervised } from "./supervised.js";

/** Where the primary speaks. */
export const ROOM = "tea";

export function untilUpgraded({ socket }: RecoveringClient): Promise<void> {
  const { engine } = socket.io;
  if (engine.transport.name === "websocket") return Promise.resolve();
  return new Promise((resolve) => engine.once("upgrade", () => resolve()));
}

/** Has the client talk to the server until that is over. @returns how often it has */
export async function talk({ socket }: RecoveringClient, isOver: () => boolean): Promise<number> {
  for (let said = 0; ; ) {
    if (isOver()) return said;
    expect(await socket.emitWithAck("echo", ++said)).toBe(said);
  }
}

/** Has the primary speak to both namespaces all the time, since no worker is there from the beginning to the end. */
export async function speak({ primary }: Supervised): Promise<void> {
  await primary.run(async (ctx, room) => {
    const { hub } = await ctx.cluster();
    const store = globalThis as unknown as { said: number; timer: NodeJS.Timeout };
    store.said = 0;
    store.timer = setInterval(() => {
      for (const namespace of ["/", "/news"]) hub.emitter(namespace).to(room).emit("said", store.said);
      store.said++;
    }, 5);
  }, ROOM);
}

/** @returns how often it has spoken */
export function fallSilent({ primary }: Supervised): Promise<number> {
  return primary.run(() => {
    const store = globalThis as unknown as { said: number; timer: NodeJS.Timeout };
    clearInterval(store.timer);
    return store.said;
  });
}

/** Arguments of events that bring one number each. */
export function numbers(length: number, from = 0): number[][] {
  return Array.from({ length }, (_, i) => [i + from]);
}
