/**
 * A Unix socket that listens, and the name by which others find it: a file, which anybody may remove.
 * Owns: the listener, and its file. Runs in: primary.
 */
import { once } from "node:events";
import { chmodSync, constants, lstatSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { closedToSelf } from "../closed-to-self.js";
import { codeOf, HoldfastError, messageOf } from "../errors.js";
import { nameTaken } from "./cluster-names.js";
import { controlDirectory, socketFile } from "./directory.js";
import { takeName } from "./name-taking.js";
import { fileIdOf, giveName, isOtherFile, removeIfThere, shortEnough } from "./socket-file.js";
import { removeForsaken, UNNAMED, unnamedPath } from "./unnamed-socket.js";

const MAX_CONNECTIONS = 64;
/** Whoever may write to a socket may connect. The umask of the application leaves that to others, or does not. */
const WRITABLE_BY_OTHERS = 0o022;

export interface ControlNames {
  /** Names to try, one after another. */
  readonly names: readonly string[];
  /** The path of the socket in place of a name. */
  readonly path: string | undefined;
}

export class NamedSocket {
  /** The name that it got. */
  readonly name: string;
  readonly path: string;
  readonly #server: Server;
  readonly #file: string;

  private constructor(name: string, path: string, server: Server) {
    this.name = name;
    this.path = path;
    this.#server = server;
    this.#file = fileIdOf(path);
  }

  /**
   * @param signal ends the wait for others that want a name that was left
   * @throws {HoldfastError} `HOLDFAST_ERR_CONTROL_SOCKET`, and `HOLDFAST_ERR_NAME_TAKEN` if all names are
   */
  static async open(
    { names, path }: ControlNames,
    accept: (socket: Socket) => void,
    signal?: AbortSignal,
  ): Promise<NamedSocket> {
    const [first = ""] = names;
    const directory = path === undefined ? controlDirectory([UNNAMED, socketFile(first)]) : dirname(path);
    const cure = path === undefined ? "Set a shorter name." : 'Set the option "control" to a shorter path.';
    // It listens first and is named then: who finds the name finds somebody who answers.
    const unnamed = shortEnough(unnamedPath(directory), cure);
    await removeForsaken(directory);
    // Until it has its name, nobody who comes may know it.
    let isNamed = false;
    const server = createServer((socket) => (isNamed ? accept(socket) : socket.destroy()));
    server.maxConnections = MAX_CONNECTIONS;
    try {
      await listenAt(server, unnamed);
      isNamed = true;
      for (const name of names) {
        const named = shortEnough(path ?? join(directory, socketFile(name)), cure);
        if (await takeName(unnamed, named, signal)) return new NamedSocket(name, named, server);
        if (path !== undefined) break;
      }
    } catch (error) {
      server.close();
      signal?.throwIfAborted();
      if (error instanceof HoldfastError) throw error;
      const closed = closedToSelf(directory, constants.W_OK | constants.X_OK);
      const text = `The control socket in ${directory} cannot be opened: ${closed ?? messageOf(error)}`;
      throw new HoldfastError("HOLDFAST_ERR_CONTROL_SOCKET", text, { cause: error });
    } finally {
      try {
        removeIfThere(unnamed);
      } catch {
        // Where it cannot be removed, it could not be made: that is told.
      }
    }
    server.close();
    const wanted = path ?? join(directory, socketFile(first));
    if (!isOtherFile(wanted)) throw nameTaken(path === undefined ? first : undefined, wanted);
    throw new HoldfastError(
      "HOLDFAST_ERR_CONTROL_SOCKET",
      `What is at ${wanted}, where the control socket is to be, is no socket. Remove it, or set the option "control" ` +
        "to another path.",
    );
  }

  /**
   * What has its name now. As long as it listens, the system gives the number of its file to no other one.
   * `hidden`: this process may not look, since it has given up its rights; the socket may be there.
   */
  look(): "itself" | "nothing" | "another" | "hidden" {
    try {
      return fileIdOf(this.path) === this.#file ? "itself" : "another";
    } catch (error) {
      return ["ENOENT", "ENOTDIR"].includes(codeOf(error)) ? "nothing" : "hidden";
    }
  }

  /** Removes the file, if it still is its own. Never throws. */
  giveName(): void {
    try {
      giveName(this.path, this.#file);
    } catch {
      // Whoever has lost the right to remove it cannot help it. Whoever wants the name finds that nobody listens.
    }
  }

  /** Connections stay. */
  close(): void {
    this.giveName();
    this.#server.close();
  }
}

async function listenAt(server: Server, path: string): Promise<void> {
  const listening = once(server, "listening");
  server.listen(path);
  await listening;
  const wasOpen = (lstatSync(path).mode & WRITABLE_BY_OTHERS) !== 0;
  chmodSync(path, 0o600);
  if (wasOpen) await untilTurnedAway(path);
  // Nothing but commands comes there: it holds no process.
  server.unref();
}

/** Connections are taken in turn: when an own one has been closed, so have all that were there before. */
async function untilTurnedAway(path: string): Promise<void> {
  const last = connect(path);
  await once(last.resume(), "close");
}
