/**
 * The end of a WebSocket that has come through another worker, while a client upgrades to it, or after that.
 * Owns: its listeners. Runs in: workers, at the owner of the session.
 *
 * From the answer to its probe on, a client asks for no further poll, and has nothing but the WebSocket as soon as the last
 * poll is answered. If the WebSocket ends before the client has said that it goes on there, it notices nothing until its
 * ping timeout. So that is no moment to end it; and where it ends with its worker all the same, the last poll is answered
 * with the end of the session, and the client comes back at once. A client that gives up its WebSocket itself keeps its
 * session, as Engine.IO has it.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { runApplication } from "../faults.js";
import type { StreamEnding } from "./link-stream.js";
import { whenLeaving } from "./relayed-socket.js";

type OnTransport = (transport: { readonly socket?: unknown }) => void;

/** What is needed of an Engine.IO session. */
export interface UpgradingSession {
  close(): void;
  prependListener(event: "upgrading" | "upgrade", listener: OnTransport): unknown;
}

/** Becomes the upgrade: Engine.IO keeps its WebSocket there. */
type UpgradeRequest = IncomingMessage & { readonly websocket?: unknown };

/** What is needed of a connection that has come through another worker. */
interface UpgradeSocket extends Duplex {
  readonly ending?: StreamEnding;
  destroySoon?(): void;
}

/** Of each session, those that are open. A client may try many at a time, of which the engine refuses all but one. */
const upgradesOf = new WeakMap<UpgradingSession, Set<RelayedUpgradeEnd>>();

export function endUpgradeWithItsWorker(
  session: UpgradingSession,
  request: UpgradeRequest,
  socket: UpgradeSocket,
): void {
  const upgrades = upgradesOf.get(session) ?? watch(session);
  const upgrade = new RelayedUpgradeEnd(request, socket);
  const release = whenLeaving(socket, () => upgrade.leave());
  upgrades.add(upgrade);
  socket.prependOnceListener("close", () => {
    release();
    upgrades.delete(upgrade);
    if (upgrade.isCutOff()) runApplication(() => session.close());
  });
}

function watch(session: UpgradingSession): Set<RelayedUpgradeEnd> {
  const upgrades = new Set<RelayedUpgradeEnd>();
  upgradesOf.set(session, upgrades);
  // First: when a listener of the application throws, Node.js calls none after it.
  session.prependListener("upgrading", ({ socket }) => {
    for (const upgrade of upgrades) if (upgrade.isOf(socket)) upgrade.onProbed();
  });
  session.prependListener("upgrade", ({ socket }) => {
    for (const upgrade of upgrades) if (upgrade.isOf(socket)) upgrade.onUpgraded();
  });
  return upgrades;
}

class RelayedUpgradeEnd {
  // asked → between → upgraded
  #state: "asked" | "between" | "upgraded" = "asked";
  readonly #request: UpgradeRequest;
  readonly #socket: UpgradeSocket;
  #isLeaving = false;

  constructor(request: UpgradeRequest, socket: UpgradeSocket) {
    this.#request = request;
    this.#socket = socket;
  }

  /** @param webSocket of a transport; those that are no WebSocket have none */
  isOf(webSocket: unknown): boolean {
    return webSocket !== undefined && webSocket === this.#request.websocket;
  }

  onProbed(): void {
    this.#state = "between";
  }

  onUpgraded(): void {
    this.#state = "upgraded";
    // What has waited for the upgrade is sent in this turn.
    if (this.#isLeaving) setImmediate(() => this.leave());
  }

  /** The worker that has the client's connection ends. */
  leave(): void {
    this.#isLeaving = true;
    if (this.#state === "asked") this.#socket.destroy();
    else if (this.#state === "upgraded") this.#socket.destroySoon?.();
  }

  /** Whether its client, which has closed nothing, may wait for it now. */
  isCutOff(): boolean {
    return this.#state === "between" && (this.#isLeaving || this.#socket.ending === "lost");
  }
}
