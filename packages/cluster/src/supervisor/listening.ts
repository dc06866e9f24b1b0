/**
 * The cluster's server listens.
 * Owns: nothing. Runs in: primary.
 */
import { once } from "node:events";
import { createServer, type ListenOptions, type Server } from "node:net";
import { codeOf } from "../errors.js";
import { replaceForsaken } from "./forsaken-place.js";
import { cannotListen } from "./listen-error.js";
import type { ListenPlace } from "./resolve-options.js";

/**
 * Fails at once if the place is taken, before anything is started for it.
 * @param signal as for {@link listen}
 */
export async function checkPlace(place: ListenPlace, signal?: AbortSignal): Promise<void> {
  if (place.path === undefined && place.port === 0) return;
  const probe = createServer((socket) => socket.destroy());
  await listen(probe, place, signal);
  probe.close();
  await once(probe, "close");
}

/**
 * @param signal ends the wait for a place where something is left; it fails then
 * @throws {HoldfastError} `HOLDFAST_ERR_LISTEN`
 */
export async function listen(server: Server, place: ListenPlace, signal?: AbortSignal): Promise<void> {
  try {
    await tryToListen(server, place);
  } catch (error) {
    if (!(await listenInstead(server, place, error, signal))) throw await cannotListen(place, error);
  }
}

/** What a process that is gone has left there makes way. @returns whether it has */
async function listenInstead(
  server: Server,
  place: ListenPlace,
  error: unknown,
  signal?: AbortSignal,
): Promise<boolean> {
  if (codeOf(error) !== "EADDRINUSE" || place.path === undefined) return false;
  try {
    return await replaceForsaken(place.path, () => tryToListen(server, place), signal);
  } catch (fault) {
    throw await cannotListen(place, fault);
  }
}

async function tryToListen(server: Server, { port, host, path }: ListenPlace): Promise<void> {
  const options: ListenOptions =
    path === undefined ? { port, ...(host !== undefined && { host }) } : { path };
  const listening = once(server, "listening");
  server.listen(options);
  await listening;
}
