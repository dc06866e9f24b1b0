/**
 * The cluster's server listens.
 * Owns: nothing. Runs in: primary.
 */
import { once } from "node:events";
import { unlinkSync } from "node:fs";
import { createServer, type ListenOptions, type Server } from "node:net";
import { isForsaken } from "../control/socket-file.js";
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
    const isTaken = codeOf(error) === "EADDRINUSE";
    if (!isTaken || place.path === undefined || !(await isForsaken(place.path))) {
      throw cannotListen(place, error);
    }
    await takeOver(server, place, place.path);
  }
}

/** What a process that is gone has left there makes way. */
async function takeOver(server: Server, place: ListenPlace, path: string): Promise<void> {
  try {
    unlinkSync(path);
    await tryToListen(server, place);
  } catch (error) {
    throw cannotListen(place, error);
  }
}

async function tryToListen(server: Server, { port, host, path }: ListenPlace): Promise<void> {
  const options: ListenOptions =
    path === undefined ? { port, ...(host !== undefined && { host }) } : { path };
  const listening = once(server, "listening");
  server.listen(options);
  await listening;
}
