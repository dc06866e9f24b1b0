/**
 * `setupPrimary()`: the primary's entry. Runs in: primary.
 */
import cluster from "node:cluster";
import type { EventEmitter } from "node:events";
import { Server as NetServer } from "node:net";
import { Server as TlsServer } from "node:tls";
import { HoldfastError } from "../errors.js";
import { mainThreadOnly } from "../main-thread.js";
import type {
  MoveOptions,
  MoveResult,
  RebalanceOptions,
  RetireOptions,
  Successors,
  WorkerLike,
} from "../moves.js";
import type { HostTlsOptions, PrimaryOptions } from "../options.js";
import { processWide } from "../process-wide.js";
import type { PrimaryEvents, PrimaryStats } from "../stats.js";
import { resolvePrimaryOptions } from "./resolve-options.js";
import { Router } from "./router.js";

/** What `setupPrimary()` returns. */
export interface StickyPrimary extends EventEmitter<PrimaryEvents> {
  /** What is going on now, and the counts so far. */
  stats(): PrimaryStats;
  /**
   * Settles when so many workers are ready to take connections of this server. Without a number: when at least one
   * is, and all that live are. Await it before the server listens; otherwise, clients that are quick all land on the
   * worker that is up first.
   * @param workers integer, from 1
   * @throws {HoldfastError} `HOLDFAST_ERR_CLOSED` when `close()` is called before
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
   */
  ready(workers?: number): Promise<void>;
  /**
   * Moves the live sessions of a worker to another one, or to several in turn, while their clients stay connected, for a
   * reload. The worker gets no new connections from then on. What cannot be moved is closed after a while, and comes back
   * to other workers. When it settles with `"done"`, no session is left, and the worker can be ended: it gets no new
   * connections as long as its process lives, whatever it sets up.
   * @param worker whose sessions; they move if it has a `mover`
   * @param successors who gets them; they must be ready
   * @throws {HoldfastError} `HOLDFAST_ERR_NO_WORKER` if one of them is not ready, or the worker is among its successors
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
   * @throws {HoldfastError} `HOLDFAST_ERR_CLOSED` after `close()`
   */
  retire(worker: WorkerLike, successors: Successors, options?: RetireOptions): Promise<MoveResult>;
  /**
   * Moves live sessions of a worker to another one, and no more: nothing is closed, both go on as they are. What cannot be
   * moved at the moment stays.
   * @throws {HoldfastError} as `retire()` does
   */
  moveSessions(worker: WorkerLike, successor: WorkerLike, options?: MoveOptions): Promise<MoveResult>;
  /**
   * Moves sessions from workers that have more than their share to those that have less, until no worker has a tenth
   * more than the average. Nothing is closed.
   * @returns one result for each pair of workers
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
   * @throws {HoldfastError} `HOLDFAST_ERR_CLOSED` after `close()`
   */
  rebalance(options?: RebalanceOptions): Promise<MoveResult[]>;
  /**
   * Has the hosts meet this one with another certificate, before the old one expires: on connections between hosts that
   * begin from now on, for all routers of the process. Those that are there stay.
   * @param hostTls all of the option of that name, which was given before
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION` if it cannot be used, or there was none before: then nothing
   * has changed
   * @throws {HoldfastError} `HOLDFAST_ERR_CLOSED` after `close()`
   */
  renewHostTls(hostTls: HostTlsOptions): void;
  /**
   * Gives the server back as it was. Connections that have no worker yet are closed; those that workers have
   * stay. With the last router of this process, no session begins to move any more. Settles when those that are on their way
   * have got there, and the workers know, or after some seconds. Calling it again changes nothing.
   */
  close(): Promise<void>;
}

/** Servers that have a router. */
const servers = processWide("servers", () => new WeakSet<NetServer>());

/**
 * Hands every connection of `server` to the worker that holds its session. `server` is an `http.Server` or a
 * `net.Server`, listening or not yet. Call it in the primary, once for each server of the cluster. Workers that listen
 * already leave that to it: await `ready()` before it listens. In a process that forks no workers, it waits for some.
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_WORKER_THREAD` in a worker thread
 * @throws {HoldfastError} `HOLDFAST_ERR_NOT_PRIMARY` in a worker
 * @throws {HoldfastError} `HOLDFAST_ERR_TLS_SERVER` for an `https.Server` or `tls.Server`
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_SERVER` for anything else that is not a `net.Server`
 * @throws {HoldfastError} `HOLDFAST_ERR_ALREADY_SET_UP` for a server that has a router
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
 * @throws {HoldfastError} `HOLDFAST_ERR_PRIVATE_DIRECTORY` if there is no place for the private sockets
 */
export function setupPrimary(server: NetServer, options?: PrimaryOptions): StickyPrimary {
  mainThreadOnly("setupPrimary");
  if (!cluster.isPrimary) {
    throw new HoldfastError(
      "HOLDFAST_ERR_NOT_PRIMARY",
      "setupPrimary() was called in a worker. Call it in the primary, and setupWorker(io) here.",
    );
  }
  if (server instanceof TlsServer) {
    throw new HoldfastError(
      "HOLDFAST_ERR_TLS_SERVER",
      "setupPrimary() takes no https.Server: TLS ends in the workers. Give it an http.Server or a net.Server, " +
        "and create the https.Server, with its key and certificate, in the workers.",
    );
  }
  if (!(server instanceof NetServer)) {
    throw new HoldfastError(
      "HOLDFAST_ERR_INVALID_SERVER",
      "The first argument of setupPrimary() must be an http.Server or a net.Server.",
    );
  }
  if (servers.has(server)) {
    throw new HoldfastError(
      "HOLDFAST_ERR_ALREADY_SET_UP",
      "setupPrimary() was called for this server before. Keep the handle of the first call, or close() it.",
    );
  }
  const router = new Router(server, resolvePrimaryOptions(options), () => servers.delete(server));
  servers.add(server);
  return router;
}
