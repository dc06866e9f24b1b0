/** The files that this process writes its output to. Runs in: the command line. */
import { fstatSync, lstatSync } from "node:fs";
import { identityOf } from "../file-identity.js";

const OUTPUTS = [1, 2];

/** Tells whether a path is that of a file which is this process' standard output or error, as after `> dev.log`. */
export function ownOutput(): (path: string) => boolean {
  const own = new Set(OUTPUTS.map((fd) => identity(() => fstatSync(fd, { bigint: true }))));
  own.delete(undefined);
  return (path) => own.size > 0 && own.has(identity(() => lstatSync(path, { bigint: true })));
}

/** `undefined` for a closed output, and for a path with nothing behind it, or nothing that this user may look at. */
function identity(look: () => Parameters<typeof identityOf>[0]): string | undefined {
  try {
    return identityOf(look());
  } catch {
    return undefined;
  }
}
