/** A real client that keeps everything that went wrong, as a person in front of it would see it. Runs in: tests. */
import type { Agent } from "node:http";
import { Changes } from "@holdfast/harness";
import { io, type Socket } from "socket.io-client";

export const TRACKED_KINDS = ["polling", "websocket", "upgrade"] as const;
export type TrackedKind = (typeof TRACKED_KINDS)[number];

export class TrackedClient {
  readonly kind: TrackedKind;
  readonly socket: Socket;
  /** Texts of "said" in the order of their arrival. */
  readonly heard: string[] = [];
  /** Processes that have served it, oldest first. */
  readonly workers: number[] = [];
  /** Why it has lost its connections. */
  readonly losses: string[] = [];
  /** Whether each connection but the first has recovered the session. */
  readonly recovered: boolean[] = [];
  /** Attempts to connect that failed, with the status of the answer. */
  readonly failures: string[] = [];
  readonly #news = new Changes();

  constructor(url: string, kind: TrackedKind, agent?: Agent) {
    this.kind = kind;
    this.socket = io(url, {
      forceNew: true,
      transports: kind === "upgrade" ? ["polling", "websocket"] : [kind],
      reconnectionDelay: 20,
      reconnectionDelayMax: 200,
      ...(agent && { agent: agent as never }),
    });
    let isFirst = true;
    this.socket.on("connect", () => {
      if (!isFirst) this.recovered.push(this.socket.recovered);
      isFirst = false;
      this.socket.io.engine.on("upgrade", () => this.#news.tell());
      this.#news.tell();
    });
    this.socket.on("disconnect", (reason) => {
      this.losses.push(reason);
      this.#news.tell();
    });
    this.socket.io.on("error", (error) => {
      this.failures.push(
        `${error.message} ${String((error as { description?: unknown }).description ?? "")}`.trim(),
      );
    });
    this.socket.on("worker", (pid: number) => {
      this.workers.push(pid);
      this.#news.tell();
    });
    this.socket.on("said", (text: string) => {
      this.heard.push(text);
      this.#news.tell();
    });
  }

  get transport(): string {
    return this.socket.io.engine.transport.name;
  }

  async until(what: string, condition: () => boolean, ms?: number): Promise<void> {
    const missing = () =>
      `${what} (${this.kind}, ${this.workers}, losses ${this.losses}, failures ${this.failures}, heard ${this.heard.length})`;
    await this.#news.until(missing, condition, ms);
  }

  async settled(): Promise<void> {
    const transport = this.kind === "polling" ? "polling" : "websocket";
    await this.until(
      "connection",
      () => this.socket.connected && this.workers.length > 0 && this.transport === transport,
    );
  }

  /** Waits until it is connected; an upgrade that was cut off by the end of a worker is not tried again. */
  async connected(): Promise<void> {
    await this.until("connection", () => this.socket.connected);
  }

  close(): void {
    this.socket.disconnect();
  }
}
