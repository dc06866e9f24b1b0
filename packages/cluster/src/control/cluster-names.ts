/**
 * What a new cluster may be called: a name that no other one of this user has, in any place in which they may be.
 * Owns: nothing. Runs in: primary.
 */
import { HoldfastError } from "../errors.js";
import { controlSockets, socketName } from "./directory.js";
import { isTaken } from "./socket-file.js";

/** How many clusters of one name a user may have before the next one needs a name of its own. */
const MAX_TRIES = 100;

/** `api`, `api-2`, `api-3` … */
export function numberedNames(name: string): readonly string[] {
  return Array.from({ length: MAX_TRIES }, (_, index) => (index === 0 ? name : `${name}-${index + 1}`));
}

/**
 * Those of the names under which nobody answers. The socket of another cluster may be in a place that is not the first
 * one here: a service and a terminal differ in that. In a place that cannot be read, nobody is known to be.
 * @throws {HoldfastError} `HOLDFAST_ERR_NAME_TAKEN` if there is none
 */
export async function freeNames(names: readonly string[]): Promise<readonly string[]> {
  const free: string[] = [];
  let taken = "";
  const { paths } = controlSockets();
  for (const name of names) {
    const path = await firstTaken(paths.filter((each) => socketName(each) === name));
    if (path === undefined) free.push(name);
    else taken ||= path;
  }
  if (free.length === 0) throw nameTaken(names[0] ?? "", taken);
  return free;
}

async function firstTaken(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await isTaken(path)) return path;
  return undefined;
}

/** @param name `undefined` if the path was given in its place */
export function nameTaken(name: string | undefined, path: string): HoldfastError {
  const [who, cure] =
    name === undefined
      ? [`has the control socket ${path}`, 'the option "control" to another path']
      : [`runs under the name ${name}, with the control socket ${path}`, 'the option "name"'];
  return new HoldfastError(
    "HOLDFAST_ERR_NAME_TAKEN",
    `Another cluster ${who}. Stop it (npx holdfast stop --control ${path}), or set ${cure}.`,
  );
}
