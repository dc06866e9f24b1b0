/**
 * The other workers of the cluster, as this one reaches them and they reach it.
 * Owns: this worker's private socket, the relay to the others', the cluster's tag. Runs in: workers.
 */

import { rmdirSync, rmSync } from "node:fs";
import type { Server as NetServer } from "node:net";
import type { ClusterSecrets } from "../primary/cluster-secrets.js";
import { decodeMark, encodeMark, NO_OWNER } from "../wire/owner-mark.js";
import { openPrivateServer, privatePath } from "./private-server.js";
import { Relay } from "./relay.js";

export class Neighbours {
  readonly relay: Relay;
  readonly #workerId: number;
  readonly #serverOf: (name: string) => NetServer | undefined;
  readonly #onForwarded: () => void;
  #cluster: ClusterSecrets | undefined;
  #mark: string | undefined;
  #closePrivateServer: (() => Promise<void>) | undefined;

  /**
   * @param serverOf the server of this worker that has that name
   * @param count is called for each request that this worker has relayed or that was relayed to it
   */
  constructor(
    workerId: number,
    serverOf: (name: string) => NetServer | undefined,
    count: (what: "relayed" | "forwardedIn") => void,
  ) {
    this.relay = new Relay(() => count("relayed"));
    this.#workerId = workerId;
    this.#serverOf = serverOf;
    this.#onForwarded = () => count("forwardedIn");
  }

  /** This worker's mark in session ids; `undefined` until it has met the cluster. */
  get mark(): string | undefined {
    return this.#mark;
  }

  /** The primary has said what the cluster has in common. */
  meet(cluster: ClusterSecrets): void {
    if (this.#cluster) return;
    this.#cluster = cluster;
    this.#mark = encodeMark(cluster.tag, this.#workerId);
    this.enter();
  }

  /** Opens this worker's private socket, if it has met the cluster and the socket is not open. */
  enter(): void {
    if (!this.#cluster || this.#closePrivateServer) return;
    const { directory, secret } = this.#cluster;
    const path = privatePath(directory, this.#workerId);
    const close = openPrivateServer(path, secret, this.#serverOf, this.#onForwarded);
    const onExit = () => removeTraces(path, directory);
    process.once("exit", onExit);
    this.#closePrivateServer = () => {
      process.off("exit", onExit);
      return close();
    };
  }

  /** The worker that owns a session; {@link NO_OWNER} if none does or it is this one. */
  ownerElsewhere(sessionId: string): number {
    if (!this.#cluster) return NO_OWNER;
    const owner = decodeMark(this.#cluster.tag, sessionId);
    return owner === this.#workerId ? NO_OWNER : owner;
  }

  /** Where the owner's private socket is and what opens it. */
  door(owner: number): { readonly path: string; readonly secret: string } | undefined {
    if (!this.#cluster) return undefined;
    const { directory, secret } = this.#cluster;
    return { path: privatePath(directory, owner), secret };
  }

  /** Closes the private socket, when it has answered, and the connections to others'. */
  async leave(): Promise<void> {
    this.relay.close();
    const close = this.#closePrivateServer;
    this.#closePrivateServer = undefined;
    await close?.();
  }
}

/** A primary that was killed could not remove the directory: the last of its workers does. */
function removeTraces(path: string, directory: string): void {
  try {
    rmSync(path, { force: true });
    if (!process.connected) rmdirSync(directory);
  } catch {
    // Others are still there, or were faster.
  }
}
