/** `joinCluster()`: the worker's entry. Runs in: workers, and in a single process. */
import cluster from "node:cluster";
import { isMainThread } from "node:worker_threads";
import { type AdapterOptions, createAdapter, createMover } from "@holdfast/adapter";
import { type SocketIoServer as RoutedServer, type StickyWorker, setupWorker } from "@holdfast/sticky";
import type { Server } from "socket.io";
import { HoldfastError } from "../errors.js";
import type { JoinOptions } from "../options.js";
import { isThreadOfWorker, Member } from "./member.js";
import { resolveJoinOptions } from "./resolve-options.js";
import { serverAlone } from "./server-alone.js";

/** The part of a Socket.IO server that this package uses. */
export type SocketIoServer = RoutedServer & Pick<Server, "adapter">;

/** What `joinCluster()` returns. */
export interface ClusterMember {
  /** This worker's place in the cluster, counted from 0. A worker that replaces another one takes its place. */
  readonly slot: number;
  /** What `setupWorker()` of `@holdfast/sticky` returned; `undefined` in a single process. */
  readonly sticky: StickyWorker | undefined;
  /**
   * Ends this worker without cutting anybody off: it finishes its requests, closes its clients, so that they come back
   * elsewhere, calls `onStop` and exits. Another worker takes its place. SIGTERM to the worker does the same. In a
   * single process it does all of that but exit.
   */
  leave(): Promise<void>;
}

/**
 * Makes `io` a part of the cluster: it sets the adapter and the sticky sessions up, and takes the orders of
 * `startCluster()`. Call it when the application is ready for connections, and `io` is attached to an HTTP server.
 * Calling `listen()` on that server is right, and opens no port of its own. In a process that is no worker it changes
 * nothing, so the same file runs alone, with `node app.js`.
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_NOT_ATTACHED` if `io` is not attached to a server yet
 * @throws {HoldfastError} `HOLDFAST_ERR_ALREADY_SET_UP` if it was called for this `io` before, or for another one whose
 * `sticky.name` is the same
 * @throws {HoldfastError} `HOLDFAST_ERR_NAMESPACE_TAKEN` if another `io` of this process has the same path
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
 * @throws {HoldfastError} `HOLDFAST_ERR_WORKER_THREAD` in a worker thread of a worker
 */
export function joinCluster(io: SocketIoServer, options?: JoinOptions): ClusterMember {
  const { adapter, sticky: stickyOptions, onStop } = resolveJoinOptions(options);
  const member = Member.get();
  if (!cluster.isWorker) {
    if (isThreadOfWorker()) throw inThread();
    checkUnused(adapter);
    member.add(serverAlone(io, onStop));
    return { slot: member.slot, sticky: undefined, leave: () => member.leave() };
  }
  const makeAdapter = createAdapter(adapter);
  // First: its signals may come as soon as the primary hears of the server.
  member.listen();
  let sticky: StickyWorker | undefined;
  try {
    // The part that is wanted does not depend on the types of events, by which servers differ.
    sticky = setupWorker(io, { mover: createMover(io as unknown as Server), ...stickyOptions });
    io.adapter(makeAdapter);
  } catch (error) {
    void sticky?.close();
    member.unlisten();
    throw error;
  }
  const routed = sticky;
  member.add({ drain: (timeout) => routed.drain({ timeout }), onStop });
  return { slot: member.slot, sticky: routed, leave: () => member.leave() };
}

/** In one process nobody has the adapter, so its backplane is not to be its own; and a thread may run the file as well. */
function checkUnused({ backplane, ...others }: AdapterOptions): void {
  if (isMainThread) createAdapter(others);
}

function inThread(): HoldfastError {
  return new HoldfastError(
    "HOLDFAST_ERR_WORKER_THREAD",
    "joinCluster() was called in a worker thread, which gets no connections. Call it in the main thread of the file that " +
      "the workers run.",
  );
}
