/** Whether Redis may throw away what hosts need. Runs in: where the hub is. */
import { HoldfastError } from "../../errors.js";
import { type Connection, isDenied } from "./connection.js";
import { textOf } from "./replies.js";

/**
 * @returns a warning; undefined if all is well, or if this user may not know
 * @throws {Error} what Redis answers when it cannot tell at the moment, or {@link Connection.command}
 */
export async function checkMemory(
  connection: Connection,
  deadlineMs: number,
): Promise<HoldfastError | undefined> {
  const asked = connection.command(["INFO", "memory"], deadlineMs);
  const info = textOf(
    await asked.catch((error: unknown) => {
      if (!isDenied(error)) throw error;
    }),
  );
  const policy = info.match(/^maxmemory_policy:(\S+)/m)?.[1];
  const isBounded = Number(info.match(/^maxmemory:(\d+)/m)?.[1] ?? 0) > 0;
  if (!isBounded || policy === undefined || policy === "noeviction") return undefined;
  return new HoldfastError(
    "HOLDFAST_ERR_BACKPLANE_EVICTS",
    `Redis may throw keys away when its memory is full (maxmemory-policy ${policy}). Then hosts lose each other ` +
      "and clients their sessions. Set maxmemory-policy to noeviction.",
  );
}
