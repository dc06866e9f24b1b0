/** The options of `setupPrimary()` and `setupWorker()`, as users give them. Runs in: primary and workers. */

import type { HostDirectory } from "./hosts.js";
import type { Mover } from "./moves.js";

/** How a connection that belongs to no session gets its worker. */
export type LoadBalancingMethod = "least-connection" | "round-robin" | "random" | "hash";

/** Header fields in which proxies report the client's address. */
export type ForwardedHeader = "x-forwarded-for" | "forwarded";

/** What a `selectWorker` hook is told about a connection. */
export interface ConnectionInfo {
  /** Address of the client: the socket's, or what a trusted proxy reports. `undefined` on a Unix socket. */
  readonly remoteAddress: string | undefined;
  /** Request target of the first request, as it was sent. `undefined` with TLS, which hides it. */
  readonly target: string | undefined;
  /**
   * The workers that can take the connection, in the order of their ids. Those that have been unable to take it, or
   * take nothing at the moment, are left out. Never empty.
   */
  readonly workers: readonly WorkerInfo[];
}

/** A worker that is ready, as a `selectWorker` hook sees it. */
export interface WorkerInfo {
  /** `cluster.worker.id`. */
  readonly workerId: number;
  /** Position in the cluster, counted from 0. A worker that replaces another one takes its slot. */
  readonly slot: number;
  /** Connections that are open there or on their way. */
  readonly connections: number;
}

/** Options of `setupPrimary()`. */
export interface PrimaryOptions {
  /**
   * How a worker is chosen for a connection that belongs to no session. With TLS, whose session only workers can read,
   * it is always chosen as by `"hash"`, unless `selectWorker` decides.
   * - `"least-connection"`: the worker with the fewest open connections of any kind, counting those on their
   *   way. So a worker that comes later is filled first.
   * - `"round-robin"`: in turn.
   * - `"random"`: at random.
   * - `"hash"`: by the client's address, with rendezvous hashing over the workers' slots. The same address
   *   reaches the same worker, or the worker that has replaced it, and nothing of the connection is read in
   *   the primary, unless `proxyProtocol`, `trustedProxies` or `selectWorker` need it.
   * @default "least-connection"
   */
  loadBalancingMethod?: LoadBalancingMethod;
  /**
   * Which workers' servers get this server's connections: those with the same name in `setupWorker()`. Needed
   * only if a cluster listens on several ports for different servers. 1–64 characters.
   * @default "default"
   */
  name?: string;
  /**
   * How long a client may take to send its request line, or as much of the head as the other options need.
   * After that it is answered with 408, or just disconnected if it has sent nothing. Milliseconds, integer,
   * 1–2147483647.
   * @default 10000
   */
  headTimeout?: number;
  /**
   * How long that part of the head may be. A longer one is answered with 431. Bytes, integer, 256–65536.
   * @default 16384
   */
  maxHeadSize?: number;
  /**
   * How many connections may be in the primary at a time: those whose head is incomplete, those that wait for a
   * worker, and those that are on their way to one. For each one more, one is given up: of the greater part, the one
   * that has waited longest. It is closed if its head is incomplete, otherwise answered with 503. Integer, 1–1000000.
   * @default 20000
   */
  maxPendingConnections?: number;
  /**
   * How long a connection waits when no worker is ready. After that it is answered with 503 and
   * `Retry-After`. When workers are ready but take nothing, it waits for 30 seconds, or for this if that is
   * longer. Milliseconds, integer, 0–2147483647.
   * @default 5000
   */
  workerTimeout?: number;
  /**
   * Whether every connection starts with a PROXY protocol header, version 1 or 2, as HAProxy (`send-proxy`,
   * `send-proxy-v2`) and AWS NLB send it. Connections without one are closed. The address in it counts as the
   * client's, for balancing and for `socket.handshake.address`. Switch it on only if nobody but the proxy can
   * connect.
   * @default false
   */
  proxyProtocol?: boolean;
  /**
   * Addresses and CIDR ranges of the proxies whose {@link forwardedHeader} is believed when `hash` or
   * `selectWorker` needs the client's address. When it is empty, no header is read.
   * @default []
   */
  trustedProxies?: readonly string[];
  /**
   * The header field in which those proxies report the client's address.
   * @default "x-forwarded-for"
   */
  forwardedHeader?: ForwardedHeader;
  /**
   * How many leading bits of an IPv6 address stand for one client with `hash`. IPv4-mapped addresses count as
   * IPv4. Integer, 1–128.
   * @default 64
   */
  ipv6PrefixLength?: number;
  /**
   * Your own choice of a worker for connections that belong to no session, in place of `loadBalancingMethod`.
   * It is called in the primary for each connection, and again when the worker that it has chosen could not take it.
   * It may return a promise: the connection then waits for up to `workerTimeout`. If it throws, rejects, takes longer
   * or names no worker of `info.workers`, `loadBalancingMethod` decides, and the event `warning` tells.
   * @returns `workerId` of one of `info.workers`, or `undefined` to leave it to `loadBalancingMethod`
   */
  selectWorker?: (info: ConnectionInfo) => number | undefined | Promise<number | undefined>;
  /**
   * The number of a worker, for whoever starts workers and numbers them: `slot` is this number then, in `stats()` and in
   * events, and `hash` gives its clients to whoever has it. A worker that replaces another one may have the same number
   * while both live. It is called when a worker is ready for the first time. Integers, 0–1023; for any other value, or if
   * it throws, the worker gets the lowest number that nobody has.
   * @default undefined
   */
  slotOf?: (workerId: number) => number | undefined;
  /**
   * The hosts of the application: `hub.hosts` of `setupPrimary()` of `@holdfast/adapter`. With it, a request that reaches
   * another host than the one of its session is relayed there, so that load balancers need no affinity. Without a
   * `backplane` there, it changes nothing.
   * @default none: sessions of other hosts are unknown here
   */
  hosts?: HostDirectory;
  /**
   * With `hosts`: the IP address or name by which the other hosts reach this one.
   * @default the first IPv4 address of this machine that is not a loopback address, otherwise an IPv6 address
   */
  hostAddress?: string;
  /**
   * With `hosts`: the port on which this host listens for the other ones; 0 picks a free one. Only they need to reach
   * it. Integer, 0–65535.
   * @default 0
   */
  hostPort?: number;
  /**
   * With `hosts`: the address to listen on for the other hosts, if they reach it by another one: `"0.0.0.0"` or `"::"` for
   * all addresses.
   * @default `hostAddress`
   */
  hostBind?: string;
  /**
   * With `hosts`: TLS for all that hosts say to each other there, with certificates that are checked in both directions.
   * Give it to all hosts or to none: one with and one without it reach no sessions of each other, and both warn with
   * `HOLDFAST_ERR_HOST_UNREACHABLE`, as they do where a certificate is not trusted.
   * @default none: nothing is encrypted, and hosts prove with the secret that they share who they are
   */
  hostTls?: HostTlsOptions;
}

/**
 * The certificate of a host, and whom it trusts: as the options of the same names of `tls.createSecureContext()`, all in
 * PEM. They are read once, when the router is set up. TLS 1.3 is spoken, nothing older.
 * @see https://nodejs.org/api/tls.html#tlscreatesecurecontextoptions
 */
export interface HostTlsOptions {
  /** The private key of the certificate. */
  key: string | Buffer;
  /**
   * The certificate, followed by those between it and the authority, if there are any. Its names have to include
   * `hostAddress`, or `servername` if that is given. If it is limited to a purpose, it has to be good for servers and for
   * clients.
   */
  cert: string | Buffer;
  /** The authorities whose certificates are trusted: best one that is for the hosts of this application and nothing else. */
  ca: string | Buffer | readonly (string | Buffer)[];
  /** What the key is encrypted with. */
  passphrase?: string;
  /**
   * A name that the certificates of all hosts have, where addresses are not known beforehand, as in Kubernetes. Then each
   * host is asked for this name instead of its address, and whoever calls is, too.
   * @default none: each host's certificate is for its `hostAddress`
   */
  servername?: string;
}

/** Options of `setupWorker()`. */
export interface WorkerOptions {
  /**
   * Which of the primary's servers this one gets its connections from: the one with the same name in
   * `setupPrimary()`. 1–64 characters.
   * @default "default"
   */
  name?: string;
  /**
   * Lets the sessions of this server move to other workers while their clients stay connected: `createMover(io)` of
   * `@holdfast/adapter`. Without one, `retire()` of the primary closes them.
   * @default undefined
   */
  mover?: Mover;
}

/** Options of `drain()` of what `setupWorker()` returns. */
export interface DrainOptions {
  /**
   * How long it may take altogether; then the connections that are left are cut. Requests have four fifths of it,
   * before the clients of Socket.IO are closed. Keep it below the time after which your process manager kills.
   * Milliseconds, integer, 0–2147483647.
   * @default 10000
   */
  timeout?: number;
}
