/** Whether Redis may throw away what hosts need. Runs in: where the hub is. */
import { HoldfastError } from "../../errors.js";
import type { Connection } from "./connection.js";
import { textOf } from "./replies.js";

/** @returns a warning; undefined if all is well, or if this user may not know */
export async function checkMemory(
  connection: Connection,
  deadlineMs: number,
): Promise<HoldfastError | undefined> {
  const info = textOf(await connection.command(["INFO", "memory"], deadlineMs).catch(() => ""));
  const policy = info.match(/^maxmemory_policy:(\S+)/m)?.[1];
  const isBounded = Number(info.match(/^maxmemory:(\d+)/m)?.[1] ?? 0) > 0;
  if (!isBounded || policy === undefined || policy === "noeviction") return undefined;
  return new HoldfastError(
    "HOLDFAST_ERR_BACKPLANE_EVICTS",
    `Redis may throw keys away when its memory is full (maxmemory-policy ${policy}). Then hosts lose each other ` +
      "and clients their sessions. Set maxmemory-policy to noeviction.",
  );
}
