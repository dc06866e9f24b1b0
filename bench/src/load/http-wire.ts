/**
 * An HTTP/1.1 client with nothing in it but what a measurement needs: one request at a time on a
 * connection, answers with `Content-Length`, connections kept in a pool as browsers and proxies do.
 * Runs in: load generators.
 */
import { connect, type Socket } from "node:net";

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

interface Exchange {
  resolve(answer: HttpAnswer): void;
  reject(error: Error): void;
}

const HEAD_END = "\r\n\r\n";

class HttpConnection {
  alive = true;
  readonly #socket: Socket;
  #exchange: Exchange | undefined;
  #received: Buffer = Buffer.alloc(0);
  /** Whether the server wants this connection to be used again. */
  #keep = true;

  constructor(port: number) {
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (chunk) => this.#read(chunk));
    this.#socket.on("error", (error) => this.#end(error));
    this.#socket.on("close", () => this.#end(new Error("closed without an answer")));
  }

  request(head: string): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      this.#exchange = { resolve, reject };
      this.#socket.write(head, "latin1");
    });
  }

  close(): void {
    this.#end(new Error("closed by the client"));
  }

  #end(error: Error): void {
    this.alive = false;
    this.#socket.destroy();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.reject(error);
  }

  #read(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const headEnd = this.#received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = this.#received.toString("latin1", 0, headEnd + 2).toLowerCase();
    const length = Number(/\r\ncontent-length: *(\d+)\r\n/.exec(head)?.[1] ?? Number.NaN);
    const start = headEnd + HEAD_END.length;
    if (Number.isNaN(length)) {
      this.#end(new Error(`an answer without a length: ${head.slice(0, 40)}`));
      return;
    }
    if (this.#received.length < start + length) return;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#keep = !head.includes("\r\nconnection: close\r\n");
    if (!this.#keep || this.#received.length > start + length) {
      this.alive = false;
      this.#socket.destroy();
    }
    const body = this.#received.toString("utf8", start, start + length);
    this.#received = Buffer.alloc(0);
    exchange?.resolve({ status: Number(head.slice(9, 12)), body });
  }
}

/** Connections to one port: a request takes the one that became idle last, or a new one. */
export class HttpPool {
  /** Connections opened so far. */
  opened = 0;
  readonly #port: number;
  readonly #idle: HttpConnection[] = [];
  readonly #all = new Set<HttpConnection>();

  constructor(port: number) {
    this.#port = port;
  }

  get(path: string): Promise<HttpAnswer> {
    return this.#exchange(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${this.#port}\r\n\r\n`);
  }

  /** `body` must be ASCII. */
  post(path: string, body: string): Promise<HttpAnswer> {
    return this.#exchange(
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${this.#port}\r\nContent-Type: text/plain;charset=UTF-8\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }

  async #exchange(head: string): Promise<HttpAnswer> {
    const connection = this.#take();
    try {
      return await connection.request(head);
    } finally {
      if (connection.alive) this.#idle.push(connection);
      else this.#all.delete(connection);
    }
  }

  #take(): HttpConnection {
    for (;;) {
      const idle = this.#idle.pop();
      if (!idle) break;
      if (idle.alive) return idle;
      this.#all.delete(idle);
    }
    const fresh = new HttpConnection(this.#port);
    this.opened++;
    this.#all.add(fresh);
    return fresh;
  }
}
