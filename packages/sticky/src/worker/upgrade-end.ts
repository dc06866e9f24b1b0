/**
 * The end of a WebSocket that has come through another worker, while a client upgrades to it, or after that.
 * Owns: its listeners. Runs in: workers, at the owner of the session.
 *
 * From the answer to its probe on, a client asks for no further poll, and has nothing but the WebSocket as soon as the last
 * poll is answered. If the WebSocket ends before the client has said that it goes on there, it notices nothing until its
 * ping timeout. So that is no moment to end it; and where it ends all the same, the last poll is answered with the end of
 * the session, and the client comes back at once.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { whenLeaving } from "./relayed-socket.js";

type OnTransport = (transport: { readonly socket?: unknown }) => void;

/** What is needed of an Engine.IO session. */
export interface UpgradingSession {
  close(): void;
  on(event: "upgrading" | "upgrade", listener: OnTransport): unknown;
}

/** Becomes the upgrade: Engine.IO keeps its WebSocket there. */
type UpgradeRequest = IncomingMessage & { readonly websocket?: unknown };

/** Of each session, those that are open. A client may try many at a time, of which the engine refuses all but one. */
const upgradesOf = new WeakMap<UpgradingSession, Set<RelayedUpgradeEnd>>();

export function endUpgradeWithItsWorker(
  session: UpgradingSession,
  request: UpgradeRequest,
  socket: Duplex & { destroySoon?(): void },
): void {
  const upgrades = upgradesOf.get(session) ?? watch(session);
  const upgrade = new RelayedUpgradeEnd(request, socket);
  const release = whenLeaving(socket, () => upgrade.leave());
  upgrades.add(upgrade);
  socket.once("close", () => {
    release();
    upgrades.delete(upgrade);
    if (upgrade.state === "between") session.close();
  });
}

function watch(session: UpgradingSession): Set<RelayedUpgradeEnd> {
  const upgrades = new Set<RelayedUpgradeEnd>();
  upgradesOf.set(session, upgrades);
  session.on("upgrading", ({ socket }) => {
    for (const upgrade of upgrades) if (upgrade.isOf(socket)) upgrade.state = "between";
  });
  session.on("upgrade", ({ socket }) => {
    for (const upgrade of upgrades) if (upgrade.isOf(socket)) upgrade.onUpgraded();
  });
  return upgrades;
}

class RelayedUpgradeEnd {
  // asked → between (its probe is answered) → upgraded
  state: "asked" | "between" | "upgraded" = "asked";
  readonly #request: UpgradeRequest;
  readonly #socket: Duplex & { destroySoon?(): void };
  #isLeaving = false;

  constructor(request: UpgradeRequest, socket: Duplex) {
    this.#request = request;
    this.#socket = socket;
  }

  /** @param webSocket of a transport; those that are no WebSocket have none */
  isOf(webSocket: unknown): boolean {
    return webSocket !== undefined && webSocket === this.#request.websocket;
  }

  onUpgraded(): void {
    this.state = "upgraded";
    // What has waited for the upgrade is sent in this turn.
    if (this.#isLeaving) setImmediate(() => this.leave());
  }

  /** The worker that has the client's connection ends. */
  leave(): void {
    this.#isLeaving = true;
    if (this.state === "asked") this.#socket.destroy();
    else if (this.state === "upgraded") this.#socket.destroySoon?.();
  }
}
