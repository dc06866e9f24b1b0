/**
 * The control socket of a cluster: takes the requests of the command line.
 * Owns: the socket, its file, and the connections. Runs in: primary.
 */
import { once } from "node:events";
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { codeOf, HoldfastError, messageOf } from "../errors.js";
import {
  type ControlAnswer,
  type ControlRequest,
  decodeRequest,
  encodeAnswer,
  MAX_REQUEST_LENGTH,
} from "../wire/control-messages.js";
import { LineReader } from "../wire/line-reader.js";
import { controlDirectory, socketPath } from "./directory.js";
import { giveName, takeName } from "./socket-file.js";

/** How long a request may take to come. */
const REQUEST_MS = 5_000;
const MAX_CONNECTIONS = 64;
/** How many clusters of one name a user may have before the next one needs a name of its own. */
const MAX_TRIES = 100;

/** Carries a request out; what it tells meanwhile goes to `progress`. */
export type OnRequest = (
  request: ControlRequest,
  progress: (answer: ControlAnswer) => void,
) => Promise<unknown>;

export interface ControlNames {
  /** Names to try, one after another. */
  readonly names: Iterable<string>;
  /** The path of the socket in place of a name. */
  readonly path: string | undefined;
}

export class ControlServer {
  /** The name that it got. */
  readonly name: string;
  readonly #server: Server;
  readonly #path: string;
  readonly #inode: number;
  /** Those that have not asked for anything yet. */
  readonly #connections: Set<Socket>;

  private constructor(name: string, path: string, server: Server, connections: Set<Socket>) {
    this.name = name;
    this.#path = path;
    this.#server = server;
    this.#connections = connections;
    this.#inode = lstatSync(path).ino;
    process.prependListener("exit", this.#onExit);
  }

  /**
   * @returns `undefined` if all names are taken
   * @throws {HoldfastError} `HOLDFAST_ERR_CONTROL_SOCKET`
   */
  static async open({ names, path }: ControlNames, onRequest: OnRequest): Promise<ControlServer | undefined> {
    const directory = path === undefined ? controlDirectory() : dirname(path);
    // It listens first and is named then: who finds the name finds somebody who answers.
    const unnamed = socketPath(directory, `.${process.pid}`);
    const connections = new Set<Socket>();
    const server = createServer((socket) => serve(socket, connections, onRequest));
    server.maxConnections = MAX_CONNECTIONS;
    try {
      await listenAt(server, unnamed);
      for (const name of names) {
        const named = path ?? socketPath(directory, name);
        if (await takeName(unnamed, named)) return new ControlServer(name, named, server, connections);
        if (path !== undefined) break;
      }
    } catch (error) {
      server.close();
      if (error instanceof HoldfastError) throw error;
      const text = `The control socket in ${directory} cannot be opened: ${messageOf(error)}`;
      throw new HoldfastError("HOLDFAST_ERR_CONTROL_SOCKET", text, { cause: error });
    } finally {
      removeIfThere(unnamed);
    }
    server.close();
    return undefined;
  }

  async close(): Promise<void> {
    process.off("exit", this.#onExit);
    this.#onExit();
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
  }

  /** Whoever has lost the right to remove it cannot help it, and others have something to do at the end as well. */
  readonly #onExit = (): void => {
    try {
      giveName(this.#path, this.#inode);
    } catch {
      // See above. Whoever wants the name finds that nobody listens.
    }
  };
}

/** `api`, `api-2`, `api-3` … */
export function* numberedNames(name: string): IterableIterator<string> {
  yield name;
  for (let number = 2; number <= MAX_TRIES; number++) yield `${name}-${number}`;
}

async function listenAt(server: Server, path: string): Promise<void> {
  // Of a process with this id that was killed.
  removeIfThere(path);
  const listening = once(server, "listening");
  server.listen(path);
  await listening;
  chmodSync(path, 0o600);
  // Nothing but commands comes there: it holds no process.
  server.unref();
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

/** One connection: a request, its answers. Whoever hangs up has given a command all the same. */
function serve(socket: Socket, connections: Set<Socket>, onRequest: OnRequest): void {
  const lines = new LineReader(MAX_REQUEST_LENGTH);
  const say = (answer: ControlAnswer) => void (socket.writable && socket.write(encodeAnswer(answer)));
  const refuse = (message: string) => {
    say({ kind: "failed", code: "BAD_REQUEST", message });
    socket.destroySoon();
  };
  const timer = setTimeout(() => socket.destroy(), REQUEST_MS).unref();
  connections.add(socket);
  socket.unref();
  socket.on("error", () => {});
  socket.on("close", () => {
    clearTimeout(timer);
    connections.delete(socket);
  });
  socket.setEncoding("utf8").on("data", (text: string) => {
    const complete = lines.push(text);
    if (complete?.length === 0) return;
    clearTimeout(timer);
    // From now on it ends with its answer, whatever becomes of the server.
    connections.delete(socket);
    socket.removeAllListeners("data").resume();
    const request = complete ? decodeRequest(complete[0] ?? "") : "The request is too long.";
    if (typeof request === "string") return refuse(request);
    onRequest(request, say)
      .then(
        (result) => say({ kind: "done", result }),
        (error) => say({ kind: "failed", code: codeOf(error), message: messageOf(error) }),
      )
      .finally(() => socket.destroySoon());
  });
}
