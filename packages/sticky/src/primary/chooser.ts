/**
 * The choice of a worker for a connection, by the options: the user's hook, the client's address, balancer.
 * Owns: the balancer. Runs in: primary.
 */

import { HoldfastError } from "../errors.js";
import type { Handover } from "../handle/handover.js";
import { addressOf } from "../handle/node-internals.js";
import { type Balancer, createBalancer, rendezvous } from "./balancer.js";
import { clientKey, reportedAddress } from "./client-address.js";
import type { Head } from "./head.js";
import type { ResolvedPrimaryOptions } from "./resolve-options.js";
import type { RoutedWorker } from "./routed-worker.js";

export class Chooser {
  readonly #options: ResolvedPrimaryOptions;
  readonly #balance: Balancer;
  readonly #warn: (warning: HoldfastError) => void;

  constructor(options: ResolvedPrimaryOptions, warn: (warning: HoldfastError) => void) {
    this.#options = options;
    this.#balance = createBalancer(options.loadBalancingMethod);
    this.#warn = warn;
  }

  /** Whether the address of a client counts, apart from clients that speak TLS. */
  get needsAddress(): boolean {
    return this.#options.loadBalancingMethod === "hash" || this.#options.selectWorker !== undefined;
  }

  /** @param ready the workers that are ready; without any there is no choice */
  choose(ready: readonly RoutedWorker[], handover: Handover, head: Head): RoutedWorker | undefined {
    if (ready.length === 0) return undefined;
    const candidates = responsive(ready);
    const byAddress = head.kind === "tls" || this.#options.loadBalancingMethod === "hash";
    const address = byAddress || this.needsAddress ? this.#clientAddress(handover, head) : undefined;
    const selected = this.#options.selectWorker && this.#select(ready, address, head);
    if (selected) return selected;
    // TLS hides the session id. The same client at the same worker saves most of the relaying.
    if (byAddress) return rendezvous(candidates, clientKey(address ?? "", this.#options.ipv6PrefixLength));
    return this.#balance(candidates, undefined);
  }

  #clientAddress({ handle, peer }: Handover, { forwarded }: Head): string | undefined {
    const own = peer?.address ?? addressOf(handle);
    const { isTrusted, forwardedHeader } = this.#options;
    if (own === undefined || forwarded === undefined || !isTrusted) return own;
    return reportedAddress(own, forwarded, forwardedHeader, isTrusted);
  }

  #select(
    ready: readonly RoutedWorker[],
    remoteAddress: string | undefined,
    head: Head,
  ): RoutedWorker | undefined {
    const workers = ready.map(({ workerId, slot, connections }) => ({ workerId, slot, connections }));
    try {
      const workerId = this.#options.selectWorker?.({ remoteAddress, target: head.target, workers });
      if (workerId === undefined) return undefined;
      const worker = ready.find((candidate) => candidate.workerId === workerId);
      if (worker) return worker;
      this.#warn(
        new HoldfastError(
          "HOLDFAST_ERR_SELECT_WORKER",
          `selectWorker() returned ${String(workerId)}, which is not the workerId of one of info.workers.`,
        ),
      );
    } catch (cause) {
      this.#warn(new HoldfastError("HOLDFAST_ERR_SELECT_WORKER", "selectWorker() threw.", { cause }));
    }
    return undefined;
  }
}

/** Without the workers that leave their connections untaken, unless all do. */
function responsive(workers: readonly RoutedWorker[]): readonly RoutedWorker[] {
  const now = Date.now();
  if (!workers.some((worker) => worker.isStalled(now))) return workers;
  const others = workers.filter((worker) => !worker.isStalled(now));
  return others.length > 0 ? others : workers;
}
