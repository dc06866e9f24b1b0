/** `createAdapter()`: the entry of a process with a Socket.IO server. Runs in: workers, single processes. */
import cluster from "node:cluster";
import type { Namespace } from "socket.io";
import { HoldfastError } from "../errors.js";
import type { BackplaneFactory } from "../hub/backplane.js";
import { Member } from "../member/member.js";
import { type AdapterOptions, type ResolvedAdapterOptions, resolveAdapterOptions } from "../options.js";
import { processWide } from "../process-wide.js";
import { HoldfastAdapter } from "../socketio/adapter.js";
import { batchWrites } from "../socketio/write-batch.js";
import type { HubStats } from "../stats.js";
import { rendezvousSocket } from "./application.js";
import { inProcess } from "./in-process.js";
import { NO_WORKER_ID } from "./local-join.js";
import { mainThreadOnly } from "./main-thread.js";
import { SocketConnector } from "./socket-connector.js";
import { checkLength } from "./socket-path.js";
import { WorkerConnector } from "./worker-connector.js";

/** What `createAdapter()` returns. */
export interface AdapterMaker {
  (nsp: Namespace): HoldfastAdapter;
  /**
   * What the hub knows, and how the process is that the hub is in, wherever that is. It is asked each time, and its
   * counts begin anew with a hub that takes the place of another one.
   *
   * Rejected with `HOLDFAST_ERR_REQUEST_TIMEOUT` if the hub does not answer within `requestsTimeout`, and with the code
   * that says why there is none; with `HOLDFAST_ERR_CLOSED` while no server has the adapter.
   */
  hubStats(): Promise<HubStats>;
}

const OPERATORS_WAY = "npx holdfast-hub has the options --redis-url and --app";

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
 * @throws {HoldfastError} `HOLDFAST_ERR_HUB_PATH` if the path of `hub` is too long
 * @see https://socket.io/docs/v4/cluster-adapter/
 */
export function createAdapter(options?: AdapterOptions): AdapterMaker {
  const resolved = resolveAdapterOptions(options);
  mainThreadOnly("createAdapter");
  const member = memberOf(resolved);
  // Socket.IO calls it with `new`, which an arrow function does not allow.
  function adapterFor(nsp: Namespace): HoldfastAdapter {
    return new HoldfastAdapter(nsp, resolved, member);
  }
  return Object.assign(adapterFor, { hubStats: () => member.hubStats(resolved.requestsTimeout) });
}

/** The member that all servers of this process with the same hub share. */
function memberOf({ hub, backplane }: ResolvedAdapterOptions): Member {
  const workerId = cluster.worker?.id ?? NO_WORKER_ID;
  const isInProcess = hub === "auto" && (!cluster.isWorker || !process.send);
  if (hub !== "auto") {
    if (backplane) throw misplaced(`The hub at "${hub.path}" is run by an operator: ${OPERATORS_WAY}`);
    checkLength(hub.path);
    const connect = { path: hub.path, workerId, starts: false };
    return processWide(`member ${hub.path}`, () => new Member(new SocketConnector(connect), batchWrites));
  }
  if (isInProcess) {
    if (backplane) inProcess().use(backplane);
    return inProcess().member;
  }
  return workersMember(workerId, backplane as BackplaneFactory | undefined);
}

/** The member that finds its hub at the parent, or in a process that one of the workers starts. */
function workersMember(workerId: number, backplane: BackplaneFactory | undefined): Member {
  if (backplane && !backplane.recipe) {
    throw misplaced(
      "The hub of a worker is in another process, where a client cannot go: give it a url instead",
    );
  }
  const found = processWide("member", () => {
    const hubProcess = { path: rendezvousSocket(), workerId, starts: true, backplane };
    const connector = new WorkerConnector(new SocketConnector(hubProcess), backplane?.name);
    return { member: new Member(connector, batchWrites), backplane: backplane?.name };
  });
  if (backplane && backplane.name !== found.backplane) {
    throw misplaced(
      "It came too late, or twice: all servers of a process share one hub. Give it to the first one",
    );
  }
  return found.member;
}

function misplaced(text: string): HoldfastError {
  return new HoldfastError(
    "HOLDFAST_ERR_INVALID_OPTION",
    `The option "backplane" of createAdapter() cannot be used here. ${text}.`,
  );
}
