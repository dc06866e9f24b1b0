/** `createAdapter()`: the entry of a process with a Socket.IO server. Runs in: workers, single processes. */
import cluster from "node:cluster";
import type { Namespace } from "socket.io";
import { type AdapterOptions, resolveAdapterOptions } from "../options.js";
import { HoldfastAdapter } from "../socketio/adapter.js";
import { inProcess } from "./in-process.js";
import { mainThreadOnly } from "./main-thread.js";
import { workerMember } from "./worker-connector.js";

/**
 * Makes the adapter for `io.adapter()`. Call it in each process that has a Socket.IO server: in the workers of a
 * cluster, or in the one process of an application that has no cluster, which then has its hub within itself. It
 * does not block, and does not need the hub to be there first.
 *
 * @example
 * const io = new Server(httpServer);
 * io.adapter(createAdapter());
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_WORKER_THREAD` outside of the process' main thread
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
 * @see https://socket.io/docs/v4/cluster-adapter/
 */
export function createAdapter(options?: AdapterOptions): (nsp: Namespace) => HoldfastAdapter {
  const resolved = resolveAdapterOptions(options);
  mainThreadOnly("createAdapter");
  const member = cluster.isWorker && process.send ? workerMember() : inProcess().member;
  // Socket.IO calls it with `new`, which an arrow function does not allow.
  function adapterFor(nsp: Namespace): HoldfastAdapter {
    return new HoldfastAdapter(nsp, resolved, member);
  }
  return adapterFor;
}
