/**
 * A connection on which a test says every byte itself, and keeps what comes back.
 * Owns: the socket. Runs in: tests.
 */
import { once } from "node:events";
import { connect, type NetConnectOpts, type Socket } from "node:net";
import { Changes } from "./changes.js";
import { within } from "./within.js";

export class RawSocket {
  readonly socket: Socket;
  /** Settles when it is closed, however that came about. */
  readonly closed: Promise<void>;
  readonly #name: string;
  readonly #changes = new Changes();
  #chunks: Buffer[] = [];
  #state: "open" | "closed" = "open";

  /** @param to a port of the loopback interface, the path of a Unix socket, or what `net.connect()` takes */
  constructor(to: number | string | NetConnectOpts) {
    this.#name = typeof to === "object" ? JSON.stringify(to) : `connection to ${to}`;
    this.socket = connect(typeof to === "number" ? { port: to, host: "127.0.0.1" } : toOptions(to));
    this.closed = new Promise((resolve) => {
      this.socket.once("close", () => {
        this.#state = "closed";
        this.#changes.tell();
        resolve();
      });
    });
    // It is closed after that, and whoever waits is told.
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk) => {
      this.#chunks.push(chunk);
      this.#changes.tell();
    });
  }

  /** Waits until it is connected. */
  static async open(to: number | string | NetConnectOpts): Promise<RawSocket> {
    const raw = new RawSocket(to);
    await within(once(raw.socket, "connect"), raw.#name);
    return raw;
  }

  /** Everything that has come so far. */
  get bytes(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  /** The same as text, a character a byte. */
  get text(): string {
    return this.bytes.toString("latin1");
  }

  /** Text goes out with a byte a character. */
  write(bytes: string | Buffer): void {
    this.socket.write(toBuffer(bytes));
  }

  /** Writes and says that nothing more will come. */
  end(bytes: string | Buffer = ""): void {
    this.socket.end(toBuffer(bytes));
  }

  /** Writes, if there is something, and resets the connection when that has gone out. */
  reset(bytes: string | Buffer = ""): void {
    this.socket.write(toBuffer(bytes), () => this.socket.resetAndDestroy());
  }

  /** Waits until what has come matches, and gives all that has come; fails if the connection is closed before. */
  async until(wanted: string | RegExp | ((text: string) => boolean)): Promise<string> {
    const isThere = (text: string) => {
      if (typeof wanted === "function") return wanted(text);
      return typeof wanted === "string" ? text.includes(wanted) : wanted.test(text);
    };
    const missing = () => `${wanted} on ${this.#name}; it got ${JSON.stringify(this.text)}`;
    return this.#changes.until(missing, () => {
      if (isThere(this.text)) return this.text;
      if (this.#state === "closed") throw new Error(`closed: no ${missing()}`);
      return undefined;
    });
  }

  /** Waits for its end, and gives all that has come. */
  async whole(ms?: number): Promise<string> {
    await within(this.closed, () => `end of ${this.#name}; it got ${JSON.stringify(this.text)}`, ms);
    return this.text;
  }

  close(): void {
    this.socket.destroy();
  }
}

function toOptions(to: string | NetConnectOpts): NetConnectOpts {
  return typeof to === "string" ? { path: to } : to;
}

function toBuffer(bytes: string | Buffer): Buffer {
  return typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
}
