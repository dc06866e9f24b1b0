/**
 * A client that says what it is told to as text: what JSON can say and Socket.IO's client cannot, such as lists
 * that are nested thousands deep. Runs in: tests.
 */
import { within } from "@holdfast/harness";
import WebSocket from "ws";

/** An event of the server that wants an acknowledgement: `42<id>[…]`. */
const ASKS = /^42(\d+)\[/;

export class TextClient {
  readonly id: string;
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket, id: string) {
    this.#socket = socket;
    this.id = id;
  }

  /**
   * @param auth JSON, what the client has for `socket.handshake.auth`
   * @param namespace with a comma behind it; the main one by default
   */
  static async connect(url: string, auth = "{}", namespace = ""): Promise<TextClient> {
    const socket = new WebSocket(`${url.replace(/^http/, "ws")}/socket.io/?EIO=4&transport=websocket`);
    const connected = new Promise<string>((resolve, reject) => {
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("closed")));
      socket.on("message", (message) => {
        const text = String(message);
        if (text.startsWith("0")) socket.send(`40${namespace}${auth}`);
        else if (text === "2") socket.send("3");
        else if (text.startsWith("40"))
          resolve((JSON.parse(text.slice(text.indexOf("{"))) as { sid: string }).sid);
        else if (text.startsWith("44")) reject(new Error(text));
      });
    });
    return new TextClient(socket, await within(connected, `connection to ${url}`));
  }

  /** Acknowledges whatever it is asked. @param args JSON, the list of what the acknowledgement carries */
  acknowledgeWith(args: string): void {
    this.#socket.on("message", (message) => {
      const id = String(message).match(ASKS)?.[1];
      if (id !== undefined) this.#socket.send(`43${id}${args}`);
    });
  }

  /** The next event of that name that wants no acknowledgement: as JSON, the list of event and arguments. */
  next(event: string): Promise<string> {
    const beginning = `42["${event}"`;
    const arrived = new Promise<string>((resolve) => {
      const onMessage = (message: unknown) => {
        const text = String(message);
        if (!text.startsWith(beginning)) return;
        this.#socket.off("message", onMessage);
        resolve(text.slice(2));
      };
      this.#socket.on("message", onMessage);
    });
    return within(arrived, `"${event}" at client ${this.id}`);
  }

  /** @param args JSON, the list of event and arguments */
  emit(args: string): void {
    this.#socket.send(`42${args}`);
  }

  close(): void {
    this.#socket.terminate();
  }
}

/** JSON of lists in one another. */
export function nested(depth: number): string {
  return "[".repeat(depth) + "]".repeat(depth);
}
