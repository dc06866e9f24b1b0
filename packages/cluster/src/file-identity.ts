/** Which file is behind a path: a path may lead to another one later. Runs in: primary, and the command line. */
import type { BigIntStats } from "node:fs";

/** The same for as long as the file exists or is open. As big integers: inodes of some file systems exceed the others. */
export function identityOf({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`;
}

/** `undefined` for a closed descriptor, and for a path with nothing behind it, or nothing that this user may look at. */
export function ifSeen<S>(look: () => S): S | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** As {@link ifSeen}. */
export function identityIfSeen(look: () => BigIntStats): string | undefined {
  const stats = ifSeen(look);
  return stats && identityOf(stats);
}
