/**
 * The choice of a worker for a connection, by the options: the user's hook, the client's address, balancer.
 * Owns: the balancer. Runs in: primary.
 */

import { HoldfastError } from "../errors.js";
import type { Connection } from "../handle/connection.js";
import { addressOf } from "../handle/node-internals.js";
import type { ResolvedPrimaryOptions } from "../resolve-options.js";
import { type Balancer, createBalancer, rendezvous } from "./balancer.js";
import { clientKey, reportedAddress } from "./client-address.js";
import type { Head } from "./head.js";
import type { Member } from "./routed-worker.js";

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
  choose(ready: readonly Member[], connection: Connection, head: Head): Member | undefined {
    if (ready.length === 0) return undefined;
    const candidates = responsive(ready);
    const byAddress = head.kind === "tls" || this.#options.loadBalancingMethod === "hash";
    const address = byAddress || this.needsAddress ? this.#clientAddress(connection, head) : undefined;
    const selected = this.#options.selectWorker && this.#select(ready, address, head);
    if (selected) return selected;
    // TLS hides the session id. The same client at the same worker saves most of the relaying.
    if (byAddress) return rendezvous(candidates, clientKey(address ?? "", this.#options.ipv6PrefixLength));
    return this.#balance(candidates, undefined);
  }

  #clientAddress({ handle, peer }: Connection, { forwarded }: Head): string | undefined {
    const own = peer?.address ?? addressOf(handle);
    const { isTrusted, forwardedHeader } = this.#options;
    if (own === undefined || forwarded === undefined || !isTrusted) return own;
    return reportedAddress(own, forwarded, forwardedHeader, isTrusted);
  }

  #select(ready: readonly Member[], remoteAddress: string | undefined, head: Head): Member | undefined {
    const workers = ready.map(({ workerId, slot, connections }) => ({ workerId, slot, connections }));
    try {
      const workerId = this.#options.selectWorker?.({ remoteAddress, target: head.target, workers });
      if (workerId === undefined) return undefined;
      const member = ready.find((candidate) => candidate.workerId === workerId);
      if (member) return member;
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
function responsive(members: readonly Member[]): readonly Member[] {
  const now = Date.now();
  if (!members.some((member) => member.isStalled(now))) return members;
  const others = members.filter((member) => !member.isStalled(now));
  return others.length > 0 ? others : members;
}
