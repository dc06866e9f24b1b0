/**
 * The control socket of a cluster: takes the requests of the command line, and sees to it that it is found.
 * Owns: the socket, a clock that looks after it, and the connections. Runs in: primary.
 */
import type { Socket } from "node:net";
import { codeOf, HoldfastError, messageOf } from "../errors.js";
import {
  type ControlAnswer,
  type ControlRequest,
  decodeRequest,
  encodeAnswer,
  MAX_REQUEST_LENGTH,
} from "../wire/control-messages.js";
import { LineReader } from "../wire/line-reader.js";
import { freeNames } from "./cluster-names.js";
import { type ControlNames, NamedSocket } from "./named-socket.js";

/** How long a request may take to come. */
const REQUEST_MS = 5_000;
/** How often to look whether the socket is still there. */
const LOOK_MS = 1_000;

export interface ControlEvents {
  /** Carries a request out; what it tells meanwhile goes to `progress`. */
  onRequest(request: ControlRequest, progress: (answer: ControlAnswer) => void): Promise<unknown>;
  /** The socket was lost, and what came of it. */
  onLost(error: HoldfastError): void;
}

export class ControlServer {
  readonly #path: string | undefined;
  readonly #accept: (socket: Socket) => void;
  /** Those that have not asked for anything yet. */
  readonly #connections: Set<Socket>;
  readonly #onLost: ControlEvents["onLost"];
  readonly #timer: NodeJS.Timeout;
  #socket: NamedSocket;
  /** While it is made anew. */
  #restoring: Promise<void> | undefined;
  /** Whether its loss has been told: it is lost until it is there again. */
  #isTold = false;
  #state: "open" | "closed" = "open";
  readonly #closing = new AbortController();

  private constructor(
    socket: NamedSocket,
    path: string | undefined,
    accept: (socket: Socket) => void,
    connections: Set<Socket>,
    onLost: ControlEvents["onLost"],
  ) {
    this.#socket = socket;
    this.#path = path;
    this.#accept = accept;
    this.#connections = connections;
    this.#onLost = onLost;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
    process.prependListener("exit", this.#onExit);
  }

  /**
   * @param signal ends the wait for others that want a name that was left
   * @throws {HoldfastError} `HOLDFAST_ERR_CONTROL_SOCKET`, `HOLDFAST_ERR_NAME_TAKEN`
   */
  static async open(
    { names, path }: ControlNames,
    events: ControlEvents,
    signal?: AbortSignal,
  ): Promise<ControlServer> {
    const connections = new Set<Socket>();
    const accept = (socket: Socket) => serve(socket, connections, events.onRequest);
    const free = path === undefined ? await freeNames(names) : names;
    const socket = await NamedSocket.open({ names: free, path }, accept, signal);
    return new ControlServer(socket, path, accept, connections, events.onLost);
  }

  /** The name that it got. */
  get name(): string {
    return this.#socket.name;
  }

  async close(): Promise<void> {
    this.#state = "closed";
    this.#closing.abort();
    clearInterval(this.#timer);
    process.off("exit", this.#onExit);
    this.#socket.close();
    for (const socket of this.#connections) socket.destroy();
    await this.#restoring;
  }

  readonly #onExit = (): void => this.#socket.giveName();

  /** Whatever cleans temporary folders up may remove it, and nobody would find the cluster any more. */
  #look(): void {
    if (this.#restoring) return;
    const seen = this.#socket.look();
    if (seen === "itself") this.#isTold = false;
    else if (seen === "another") this.#tellOfAnother();
    else if (seen === "nothing") {
      this.#restoring = this.#restore().finally(() => {
        this.#restoring = undefined;
      });
    }
  }

  async #restore(): Promise<void> {
    const { name, path } = this.#socket;
    try {
      const names = { names: [name], path: this.#path };
      const socket = await NamedSocket.open(names, this.#accept, this.#closing.signal);
      if (this.#state === "closed") return socket.close();
      this.#socket.close();
      this.#socket = socket;
      this.#tell(
        `The control socket ${path} was removed, and has been made anew${socket.path === path ? "" : ` at ${socket.path}`}. ` +
          'Keep what cleans up there away from it, or set the option "control" to a path elsewhere.',
      );
      this.#isTold = false;
    } catch (error) {
      if (codeOf(error) === "HOLDFAST_ERR_NAME_TAKEN") return this.#tellOfAnother();
      this.#tell(
        `The control socket ${path} was removed, so npx holdfast does not find this cluster. It cannot be made anew, ` +
          `which is tried every second. ${messageOf(error)}`,
        error,
      );
    }
  }

  #tellOfAnother(): void {
    this.#tell(
      `Somebody has put another file in the place of the control socket ${this.#socket.path}, so npx holdfast does not ` +
        "find this cluster. Remove that file, or stop the cluster whose socket it is: then this one is made anew.",
    );
  }

  #tell(message: string, cause?: unknown): void {
    if (this.#isTold || this.#state === "closed") return;
    this.#isTold = true;
    this.#onLost(
      new HoldfastError("HOLDFAST_ERR_CONTROL_SOCKET", message, cause === undefined ? {} : { cause }),
    );
  }
}

/** One connection: a request, its answers. Whoever hangs up has given a command all the same. */
function serve(socket: Socket, connections: Set<Socket>, onRequest: ControlEvents["onRequest"]): void {
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
