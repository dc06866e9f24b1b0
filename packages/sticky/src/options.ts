/** The options of `setupPrimary()` and `setupWorker()`, as users give them. Runs in: primary and workers. */

import type { ForwardedHeader } from "./primary/client-address.js";

/** How a connection that belongs to no session gets its worker. */
export type LoadBalancingMethod = "least-connection" | "round-robin" | "random" | "hash";

/** What a `selectWorker` hook knows of a connection. */
export interface ConnectionInfo {
  /** Address of the client: the socket's, or what a trusted proxy reported. `undefined` on a Unix socket. */
  readonly remoteAddress: string | undefined;
  /** Request target of the first request, as sent; `undefined` for TLS, which hides it. */
  readonly target: string | undefined;
  /** The workers that are ready, in the order of their ids. Never empty. */
  readonly workers: readonly WorkerInfo[];
}

/** A worker that is ready, as a `selectWorker` hook sees it. */
export interface WorkerInfo {
  /** `cluster.worker.id`. */
  readonly workerId: number;
  /** Position in the cluster, 0 and up; a respawned worker takes its predecessor's. */
  readonly slot: number;
  /** Connections that are open there or on their way. */
  readonly connections: number;
}

/** Options of `setupPrimary()`. */
export interface PrimaryOptions {
  /**
   * How a connection that belongs to no session gets its worker: to the worker with the fewest open
   * connections, in turn, at random, or by the client's address (nothing is read of the connection then).
   * @default "least-connection"
   */
  loadBalancingMethod?: LoadBalancingMethod;
  /**
   * Which workers' servers get the connections of this one: those with the same name in `setupWorker()`.
   * Needed only if a cluster listens on several ports for different servers.
   * 1–64 characters.
   * @default "default"
   */
  name?: string;
  /**
   * How long a client may take to send its request line (or as much of the head as the other options need).
   * Then 408, or just the end if it has sent nothing. Milliseconds, integer, 1–2147483647.
   * @default 10000
   */
  headTimeout?: number;
  /**
   * How long that may be; longer ones get 431. Bytes, integer, 256–65536.
   * @default 16384
   */
  maxHeadSize?: number;
  /**
   * How many connections may be in the primary at a time, not yet handed over; beyond that the one that has
   * been silent longest is closed for each new one. Integer, 1–1000000.
   * @default 20000
   */
  maxPendingConnections?: number;
  /**
   * How long a connection waits for a worker when none is ready, before it gets 503.
   * Milliseconds, integer, 0–2147483647.
   * @default 5000
   */
  workerTimeout?: number;
  /**
   * Every connection starts with a PROXY protocol header, version 1 or 2, as HAProxy (`send-proxy`,
   * `send-proxy-v2`) and AWS NLB send it; connections without are closed. The address in it is the client's
   * for balancing and for `socket.handshake.address`. Switch it on only if nobody but the proxy can connect.
   * @default false
   */
  proxyProtocol?: boolean;
  /**
   * Addresses and CIDR ranges of the proxies whose {@link forwardedHeader} is believed when the client's
   * address is asked for (by `hash` and `selectWorker`). Empty: of nobody, and no header is read.
   * @default []
   */
  trustedProxies?: readonly string[];
  /**
   * The header field in which those proxies report the client's address.
   * @default "x-forwarded-for"
   */
  forwardedHeader?: ForwardedHeader;
  /**
   * How many leading bits of an IPv6 address count as one client for `hash`. Integer, 1–128.
   * @default 64
   */
  ipv6PrefixLength?: number;
  /**
   * Chooses the worker for connections that belong to no session, in place of `loadBalancingMethod`. It is
   * called once per connection, in the primary, and must be quick.
   * @returns `workerId` of one of `info.workers`, or `undefined` to leave it to `loadBalancingMethod`
   */
  selectWorker?: (info: ConnectionInfo) => number | undefined;
}

/** Options of `setupWorker()`. */
export interface WorkerOptions {
  /**
   * Which of the primary's servers this one gets its connections from; see {@link PrimaryOptions.name}.
   * @default "default"
   */
  name?: string;
}
