/** What the handles of `setupPrimary()` and `setupWorker()` tell. Runs in: primary and workers. */

/** Why a connection did not get a worker, and what it was answered. */
export type RefusalReason =
  /** The first line is not an HTTP/1 request line: 400. */
  | "bad-request"
  /** The PROXY protocol header is missing or malformed: closed. */
  | "bad-proxy-header"
  /** The head is longer than `maxHeadSize`: 431. */
  | "head-too-long"
  /** The head did not come within `headTimeout`: 408. */
  | "head-timeout"
  /** Nothing at all came within `headTimeout`: closed. */
  | "silent"
  /** It had waited longest when `maxPendingConnections` were pending: closed, or 503 if its head was complete. */
  | "evicted"
  /** The client closed it before its head was complete, or before a worker could take it. */
  | "client-closed"
  /** No worker was ready within `workerTimeout`, or took it within 30 seconds, or that if it is longer: 503. */
  | "no-worker"
  /** None of the workers could take it, though each was asked: 503. */
  | "undeliverable";

export const REFUSAL_REASONS: readonly RefusalReason[] = [
  "bad-request",
  "bad-proxy-header",
  "head-too-long",
  "head-timeout",
  "silent",
  "evicted",
  "client-closed",
  "no-worker",
  "undeliverable",
];

/** A worker as the primary sees it. Counts are of all names together. */
export interface WorkerStats {
  /** `cluster.worker.id`. */
  readonly workerId: number;
  /** Position in the cluster, counted from 0. A worker that replaces another one takes its slot. */
  readonly slot: number;
  /** Connections that are open there or on their way to it. */
  readonly connections: number;
  /** Connections handed over to it so far, by all routers of the primary's process. */
  readonly handedOver: number;
  /** Requests of other workers' sessions that it has passed on so far, relayed or moved. */
  readonly forwardedOut: number;
  /** Requests of its own sessions that other workers have relayed to it so far. */
  readonly forwardedIn: number;
}

/** Why a session of a worker has ended. */
export type SessionEndReason =
  /** The client or something between has closed the connection, or the session's time to come back has passed. */
  | "transport close"
  /** The connection has failed. */
  | "transport error"
  /** The client has not answered a ping. */
  | "ping timeout"
  /** The worker has closed it: `socket.disconnect(true)`, `io.close()`, a drain. */
  | "forced close"
  /** The client has sent what is not Engine.IO. */
  | "parse error"
  /** Another reason that the engine gives. */
  | "other"
  /** It lives at another worker now; its client is connected as before. */
  | "moved away"
  /** The worker's process has gone with the session. */
  | "worker gone";

export const SESSION_END_REASONS: readonly SessionEndReason[] = [
  "transport close",
  "transport error",
  "ping timeout",
  "forced close",
  "parse error",
  "other",
  "moved away",
  "worker gone",
];

/** Why the engine of a worker has refused a request: it belongs to no session there, and opens none. */
export type RequestRefusalReason =
  /** `transport` of its query is none that the server has. */
  | "unknown transport"
  /** `sid` of its query names a session that has ended, or never was. */
  | "unknown session"
  /** It is to open a session, and is no GET. */
  | "bad handshake method"
  /** It is not as it should be in another way. */
  | "bad request"
  /** `allowRequest` of the server has refused it. */
  | "forbidden"
  /** The client speaks another version of Engine.IO. */
  | "unsupported protocol";

/** In the order of the engine's codes. */
export const REQUEST_REFUSAL_REASONS: readonly RequestRefusalReason[] = [
  "unknown transport",
  "unknown session",
  "bad handshake method",
  "bad request",
  "forbidden",
  "unsupported protocol",
];

/** How a session's messages travel. */
export type TransportName = "polling" | "websocket" | "webtransport";

export const TRANSPORT_NAMES: readonly TransportName[] = ["polling", "websocket", "webtransport"];

/** The Engine.IO sessions of a worker or a slot. */
export interface SessionStats {
  /** Open now, by the transport that they use. */
  readonly open: Readonly<Record<TransportName, number>>;
  /** Opened so far, those included that have moved here. */
  readonly opened: number;
  /** Changed from long-polling to another transport so far. */
  readonly upgraded: number;
  /** Ended so far, by reason. */
  readonly ended: Readonly<Record<SessionEndReason, number>>;
  /** Requests that were refused so far, by reason. */
  readonly refused: Readonly<Record<RequestRefusalReason, number>>;
}

/** What has become of sessions that were to move to other workers, so far, by all routers of the process. */
export interface MoveStats {
  /** Sessions that are on their way now. */
  readonly underway: number;
  /** Sessions that live at other workers; their clients have noticed nothing. */
  readonly moved: number;
  /** How many of them used long-polling then. */
  readonly polling: number;
  /** Sessions whose connection was lost on the way; their clients come back and can recover. */
  readonly lost: number;
  /** Sessions that could not be moved and were closed; likewise. */
  readonly closed: number;
  /**
   * Sessions of workers that were to lose all of theirs that could not move at once, and waited until they could, until
   * they ended, or until they were closed.
   */
  readonly waited: number;
}

/** How long something took, since the process started. */
export interface DurationStats {
  /** How often. */
  readonly count: number;
  /** All durations together, in milliseconds. */
  readonly sumMs: number;
  /** Upper bounds of the buckets, in milliseconds, rising. */
  readonly boundsMs: readonly number[];
  /** How many durations fell into each bucket, and into none of them at the end. */
  readonly counts: readonly number[];
}

/**
 * A position in the cluster. Its counts go on when its worker is replaced, so they never fall while the primary lives.
 * They are of all names together, and up to 50 ms old.
 */
export interface SlotStats {
  /** Counted from 0. */
  readonly slot: number;
  /** `cluster.worker.id` of the worker that takes connections there; `undefined` while there is none. */
  readonly workerId: number | undefined;
  /** Connections that are open there or on their way to it. */
  readonly connections: number;
  /** Connections that its workers have taken so far, also those that sessions have brought which moved here. */
  readonly handedOver: number;
  /** Of these, those that are closed, have gone on to other workers, or were their worker's that is gone. */
  readonly closed: number;
  /** Requests of other workers' sessions that it has passed on over a connection to that worker so far. */
  readonly relayed: number;
  /** Of these, those that went to workers of other hosts. */
  readonly relayedToHosts: number;
  /** Connections that it has moved to the owner of their session so far. */
  readonly moved: number;
  /** Requests of its own sessions that other workers have relayed to it so far. */
  readonly forwardedIn: number;
  /** Its Engine.IO sessions. */
  readonly sessions: SessionStats;
}

/** What `stats()` of the primary returns. */
export interface PrimaryStats {
  /** Connections that have come to this server so far. */
  readonly accepted: number;
  /** Connections of this server whose head is being read. */
  readonly pending: number;
  /** Connections of this server that wait for a worker. */
  readonly waiting: number;
  /** Connections of this server that got no worker, by reason. */
  readonly refused: Readonly<Record<RefusalReason, number>>;
  /** The workers that take connections of this server, ordered by id; their counts are up to 50 ms old. */
  readonly workers: readonly WorkerStats[];
  /** All positions that workers have had, in order. For counters that are watched over time. */
  readonly slots: readonly SlotStats[];
  /** From when enough of a connection was read until a worker had it, for this server. */
  readonly handover: DurationStats;
  /** Sessions that move to other workers. */
  readonly moves: MoveStats;
  /**
   * From when the primary heard of a session that moves until it was up at the other worker; so long its client waited.
   * Of all routers of the process.
   */
  readonly moveDuration: DurationStats;
  /** The way between hosts; `undefined` without `hosts`. */
  readonly hosts: HostWayStats | undefined;
}

/** The way between hosts, as this host sees it. */
export interface HostWayStats {
  /** Where other hosts reach this one, `address:port`; `undefined` while the host port is not open. */
  readonly address: string | undefined;
  /** The other hosts that can be reached. */
  readonly others: readonly string[];
  /** Connections of other hosts to workers of this one that are open now. */
  readonly links: number;
  /** Connections to the host port that were closed because whoever made them did not prove that he is a host. */
  readonly strangers: number;
}

/** Events of the primary's handle. */
export interface PrimaryEvents {
  /** A worker takes connections. */
  "worker:ready": [worker: { readonly workerId: number; readonly slot: number }];
  /** A worker has stopped taking connections, because it is gone or being replaced. */
  "worker:gone": [worker: { readonly workerId: number; readonly slot: number }];
  /** A connection got no worker. */
  refused: [refusal: { readonly reason: RefusalReason; readonly remoteAddress: string | undefined }];
  /**
   * Something is wrong, but the router can go on: a worker has another version of this package
   * (`HOLDFAST_ERR_VERSION_MISMATCH`) or has not called `setupWorker()` (`HOLDFAST_ERR_NOT_SET_UP`), `selectWorker`
   * failed or named no worker that is ready (`HOLDFAST_ERR_SELECT_WORKER`), private sockets were removed or fail
   * (`HOLDFAST_ERR_PRIVATE_DIRECTORY`, `HOLDFAST_ERR_PRIVATE_SOCKET`, `HOLDFAST_ERR_WORKER_USER`), or other hosts cannot
   * reach this one or be reached (`HOLDFAST_ERR_HOST_PORT`, `HOLDFAST_ERR_HOST_UNREACHABLE`). Without a listener,
   * Node.js prints it.
   */
  warning: [error: Error];
}

/** Events of the worker's handle. */
export interface WorkerEvents {
  /**
   * Something is wrong, but the worker can go on: nobody can reach it (`HOLDFAST_ERR_NOT_LISTENING`), or its private
   * socket was removed or fails, or it cannot reach another one's (`HOLDFAST_ERR_PRIVATE_DIRECTORY`,
   * `HOLDFAST_ERR_PRIVATE_SOCKET`, `HOLDFAST_ERR_WORKER_USER`). Where there is a router, the primary's handle tells the
   * latter. Without a listener, Node.js prints it.
   */
  warning: [error: Error];
}

/** What `stats()` of a worker's handle returns; counts of the whole process. */
export interface WorkerProcessStats {
  /** Connections that are open: from the router, or accepted here. */
  readonly connections: number;
  /** Connections that the router has handed over, or that were accepted here, so far. */
  readonly received: number;
  /** Requests that were passed on to their owner over a connection to it so far. */
  readonly relayed: number;
  /** Of these, those that went to workers of other hosts. */
  readonly relayedToHosts: number;
  /** Connections that were moved to the owner of their session so far. */
  readonly moved: number;
  /** Requests that other workers have relayed to this one so far. */
  readonly forwardedIn: number;
  /** The Engine.IO sessions of the servers that are set up. */
  readonly sessions: SessionStats;
}
