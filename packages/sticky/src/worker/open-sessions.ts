/**
 * The open sessions of an Engine.IO server: which there are, which requests of them are underway, and how to tell their
 * clients of its end.
 * Owns: the list, and its listener on the engine. Runs in: workers, and processes without a cluster.
 *
 * `io.close()` drops a session whose client is between two polls without a word, and the next poll gets an error. Here, it
 * gets what says that the session is closed. And what a client has sent while it was being told finds the session as it
 * is before it has been told: the engine takes it, and it goes nowhere.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { runApplication } from "../faults.js";
import type { Mover } from "../moves.js";
import type { Engine } from "./session-marks.js";
import { unmovable } from "./unmovable.js";
import { endUpgradeWithItsWorker, type UpgradingSession } from "./upgrade-end.js";

/** What is needed of an Engine.IO session. */
type Session = UpgradingSession & {
  readonly id: string;
  readonly transport: {
    readonly name: string;
    /** A poll waits. */
    readonly writable: boolean;
    /** The answers to the poll that waits and to the one that sends, where there are any. */
    readonly res?: ServerResponse | null;
    readonly dataRes?: ServerResponse | null;
    send(packets: { readonly type: "noop" | "close" }[]): void;
    on(event: "ready", listener: () => void): unknown;
  };
  upgraded: boolean;
  /** The engine. */
  readonly server: { readonly clients: Record<string, unknown> };
  close(discard?: boolean): void;
  prependListener(event: "close", listener: OnClose): unknown;
  off(event: "close", listener: OnClose): unknown;
};

type OnClose = (this: Session, reason: string) => void;

/** What Engine.IO calls it when a session was closed here, not by its client or because it has moved. */
const CLOSED_HERE = "forced close";

interface OpenSession {
  readonly session: Session;
  /** How many requests the engine has that are not answered. */
  requests: number;
}

export class OpenSessions {
  readonly #open = new Map<string, OpenSession>();
  /** Those that {@link close} has closed, and the engine still knows. */
  readonly #told = new Map<string, Session>();
  // open → closing: what is opened then is closed at once
  #state: "open" | "closing" = "open";
  #onEmpty: () => void = () => {};
  /** One for all sessions: a closure for each would take memory. */
  readonly #onClose: OnClose;

  constructor() {
    const sessions = this;
    this.#onClose = function (reason) {
      sessions.#open.delete(this.id);
      if (sessions.#state === "closing" && reason === CLOSED_HERE) sessions.#keep(this);
      if (sessions.#open.size === 0) sessions.#onEmpty();
    };
  }

  /** Returns the function that ends it. */
  watch(engine: Engine): () => void {
    const onConnection = (session: Session) => {
      this.#open.set(session.id, { session, requests: 0 });
      // First: Socket.IO's own listener runs the application's, and when one throws, Node.js calls none after it.
      session.prependListener("close", this.#onClose);
      // Socket.IO has yet to hear of it.
      if (this.#state === "closing") process.nextTick(() => session.close());
    };
    // The server may have been set up before.
    const { clients } = engine as unknown as Session["server"];
    for (const session of Object.values(clients) as Session[]) {
      onConnection(session);
      const { res, dataRes } = session.transport;
      for (const response of [res, dataRes]) if (response) this.onRequest(session.id, response);
    }
    engine.prependListener("connection", onConnection);
    return () => {
      engine.off("connection", onConnection);
      for (const { session } of this.#open.values()) session.off("close", this.#onClose);
      for (const [id, { server }] of this.#told) delete server.clients[id];
      this.#told.clear();
    };
  }

  /** Whether the session lives here, or has until its client was told of its end. */
  has(sessionId: string): boolean {
    return this.#open.has(sessionId) || this.#told.has(sessionId);
  }

  /** The engine gets a request of a session. */
  onRequest(sessionId: string, response: ServerResponse): void {
    const open = this.#open.get(sessionId);
    if (!open) return;
    open.requests++;
    response.prependOnceListener("close", () => open.requests--);
  }

  /** The engine gets an upgrade of a session, which has come through another worker. */
  onRelayedUpgrade(sessionId: string, request: IncomingMessage, socket: Duplex): void {
    const session = this.#open.get(sessionId)?.session;
    if (session) endUpgradeWithItsWorker(session, request, socket);
  }

  /** Whether the engine has no request of the session but a poll that waits. Middlewares may have some for a while. */
  isAtRest(sessionId: string): boolean {
    const open = this.#open.get(sessionId);
    return open === undefined || open.requests === (open.session.transport.writable ? 1 : 0);
  }

  /** Answers the poll of a session that waits, with nothing, as Engine.IO does before an upgrade. The client polls again. */
  endPoll(sessionId: string): void {
    const transport = this.#open.get(sessionId)?.session.transport;
    if (transport?.name !== "polling" || !transport.writable) return;
    runApplication(() => transport.send([{ type: "noop" }]));
  }

  /** In place of the application's mover: nothing moves, but a worker that retires closes its sessions all the same. */
  unmoved(): Mover {
    return {
      sessions: () =>
        [...this.#open.values()].map(({ session }) =>
          unmovable(
            session.id,
            "mover",
            () => session.close(),
            () => session.close(true),
          ),
        ),
      land: () => Promise.resolve(false),
    };
  }

  /** Closes all, those that are yet to come too; settles when all clients have been told. */
  async close(): Promise<void> {
    this.#state = "closing";
    const closed = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    for (const { session } of [...this.#open.values()]) runApplication(() => session.close());
    if (this.#open.size > 0) await closed;
  }

  /** Closes those that are left without waiting for their clients. */
  cut(): void {
    for (const { session } of [...this.#open.values()]) runApplication(() => session.close(true));
  }

  /** Its client may have sent a request at the same time as it was told, over another connection. */
  #keep(session: Session): void {
    const { id, transport, server } = session;
    if (transport.name !== "polling") return;
    this.#told.set(id, session);
    // The engine, which hears of the end after this, takes it off its list.
    process.nextTick(() => {
      if (this.#told.has(id)) server.clients[id] = session;
    });
    // So that no upgrade begins.
    session.upgraded = true;
    transport.on("ready", () => transport.send([{ type: "close" }]));
  }
}
