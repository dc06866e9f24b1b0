/**
 * The cluster's server listens.
 * Owns: nothing. Runs in: primary.
 */
import { once } from "node:events";
import { linkSync, renameSync, rmSync } from "node:fs";
import { createServer, type ListenOptions, type Server } from "node:net";
import { dirname } from "node:path";
import { fileIdOf, isForsaken } from "../control/socket-file.js";
import { unnamedPath } from "../control/unnamed-socket.js";
import { codeOf } from "../errors.js";
import { cannotListen } from "./listen-error.js";
import type { ListenPlace } from "./resolve-options.js";

/** Fails at once if the place is taken, before anything is started for it. */
export async function checkPlace(place: ListenPlace): Promise<void> {
  if (place.path === undefined && place.port === 0) return;
  const probe = createServer((socket) => socket.destroy());
  await listen(probe, place);
  probe.close();
  await once(probe, "close");
}

/** @throws {HoldfastError} `HOLDFAST_ERR_LISTEN` */
export async function listen(server: Server, place: ListenPlace): Promise<void> {
  try {
    await tryToListen(server, place);
  } catch (error) {
    const aside = await moveForsaken(place, error);
    if (aside === undefined) throw cannotListen(place, error);
    try {
      await tryToListen(server, place);
    } catch (fault) {
      throw cannotListen(place, fault);
    } finally {
      // Only now: the system could give its number to the next socket, and others tell the two apart by that.
      rmSync(aside, { force: true });
    }
  }
}

/**
 * What a process that is gone has left there makes way. Of several processes that find it, one gets the place.
 * @returns where it is now; `undefined` if somebody may be there
 */
async function moveForsaken({ path }: ListenPlace, error: unknown): Promise<string | undefined> {
  if (codeOf(error) !== "EADDRINUSE" || path === undefined) return undefined;
  const aside = unnamedPath(dirname(path));
  try {
    const found = fileIdOf(path);
    if (!(await isForsaken(path))) return undefined;
    renameSync(path, aside);
    if (fileIdOf(aside) === found) return aside;
  } catch {
    // Another process is taking the place, or this user may not.
    return undefined;
  }
  giveBack(aside, path);
  return undefined;
}

/** Another process has taken the place between the look and the move. */
function giveBack(aside: string, path: string): void {
  try {
    linkSync(aside, path);
  } catch {
    // And one more since then.
  }
  rmSync(aside, { force: true });
}

async function tryToListen(server: Server, { port, host, path }: ListenPlace): Promise<void> {
  const options: ListenOptions =
    path === undefined ? { port, ...(host !== undefined && { host }) } : { path };
  const listening = once(server, "listening");
  server.listen(options);
  await listening;
}
