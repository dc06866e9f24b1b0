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

/** What is needed of an Engine.IO session. */
export interface UpgradingSession {
  close(): void;
  on(event: "upgrading" | "upgrade", listener: (transport: { readonly socket?: unknown }) => void): unknown;
  off(event: "upgrading" | "upgrade", listener: (transport: { readonly socket?: unknown }) => void): unknown;
}

/** @param request becomes the upgrade: Engine.IO keeps its WebSocket there */
export function endUpgradeWithItsWorker(
  session: UpgradingSession,
  request: IncomingMessage & { readonly websocket?: unknown },
  socket: Duplex & { destroySoon?(): void },
): void {
  // asked → between → upgraded
  let state: "asked" | "between" | "upgraded" = "asked";
  let isLeaving = false;

  const onUpgrading = ({ socket: probed }: { readonly socket?: unknown }) => {
    if (probed === request.websocket) state = "between";
  };
  const onUpgrade = ({ socket: chosen }: { readonly socket?: unknown }) => {
    if (chosen !== request.websocket) return;
    state = "upgraded";
    // What has waited for the upgrade is sent in this turn.
    if (isLeaving) setImmediate(end);
  };
  const end = () => {
    isLeaving = true;
    if (state === "asked") socket.destroy();
    else if (state === "upgraded") socket.destroySoon?.();
  };
  const release = whenLeaving(socket, end);
  session.on("upgrading", onUpgrading);
  session.on("upgrade", onUpgrade);
  socket.once("close", () => {
    release();
    session.off("upgrading", onUpgrading);
    session.off("upgrade", onUpgrade);
    if (state === "between") session.close();
  });
}
