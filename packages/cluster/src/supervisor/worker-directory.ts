/**
 * Where the next worker starts, wherever the application has gone meanwhile with this process.
 * Owns: one of the settings of `node:cluster`, `cwd`. Runs in: primary.
 *
 * Without the option `cwd`, that is where this process was at the start. As long as it is there, workers inherit it, since
 * that works also when it has been removed, or is closed to the user that this process has become.
 */
import cluster from "node:cluster";
import { currentDirectory } from "../directories.js";
import type { ResolvedClusterOptions } from "./resolve-options.js";

export function placeNextWorker({ cwd, startedIn }: ResolvedClusterOptions): void {
  const place = cwd ?? (currentDirectory() === startedIn ? undefined : startedIn);
  if (place === undefined) delete cluster.settings.cwd;
  else cluster.settings.cwd = place;
}
