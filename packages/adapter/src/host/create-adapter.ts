/** `createAdapter()`: the worker's entry. Runs in: workers. */
import type { Namespace } from "socket.io";
import { type AdapterOptions, resolveAdapterOptions } from "../options.js";
import { HoldfastAdapter } from "../socketio/adapter.js";
import { workerMember } from "./worker-connector.js";

/**
 * Makes the adapter for `io.adapter()`. Call it in a worker. It does not block, and does not need the hub to
 * be there first.
 *
 * @example
 * const io = new Server(httpServer);
 * io.adapter(createAdapter());
 *
 * @throws {HoldfastError} `HOLDFAST_ERR_NOT_WORKER` outside a worker of `node:cluster`
 * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION`
 * @see https://socket.io/docs/v4/cluster-adapter/
 */
export function createAdapter(options?: AdapterOptions): (nsp: Namespace) => HoldfastAdapter {
  const resolved = resolveAdapterOptions(options);
  const member = workerMember();
  // Socket.IO calls it with `new`, which an arrow function does not allow.
  function adapterFor(nsp: Namespace): HoldfastAdapter {
    return new HoldfastAdapter(nsp, resolved, member);
  }
  return adapterFor;
}
