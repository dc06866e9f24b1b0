/**
 * The choice of a worker for a connection, by the options: the user's hook, the client's address, balancer.
 * Owns: the balancer. Runs in: primary.
 */
import { inspect } from "node:util";
import { HoldfastError } from "../errors.js";
import { addressOf } from "../handle/node-internals.js";
import type { Arrival } from "./arrival.js";
import { type Balancer, createBalancer, rendezvous } from "./balancer.js";
import { clientKey } from "./client-key.js";
import type { ResolvedPrimaryOptions } from "./resolve-options.js";
import type { RoutedWorker } from "./routed-worker.js";
import { reportedAddress } from "./trusted-proxies.js";

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

  /**
   * What `selectWorker` says, if there is one: the id of one of the candidates, or that `loadBalancingMethod`
   * decides. Never throws, never rejects.
   * @param candidates the workers that can take the connection; never empty
   */
  ask(
    candidates: readonly RoutedWorker[],
    arrival: Arrival,
  ): number | undefined | Promise<number | undefined> {
    const { selectWorker } = this.#options;
    if (!selectWorker) return undefined;
    const workers = candidates.map(({ workerId, slot, connections }) => ({ workerId, slot, connections }));
    const checked = (answer: unknown) =>
      answer === undefined || workers.some(({ workerId }) => workerId === answer)
        ? (answer as number | undefined)
        : this.#complain(
            `selectWorker() gave ${inspect(answer)}, which is the workerId of none of info.workers.`,
          );
    const failed = (cause: unknown) => this.#complain("selectWorker() failed.", { cause });
    try {
      const remoteAddress = this.#clientAddress(arrival);
      const answer = selectWorker({ remoteAddress, target: arrival.parsed.target, workers });
      return isPromise(answer) ? Promise.resolve(answer).then(checked, failed) : checked(answer);
    } catch (cause) {
      return failed(cause);
    }
  }

  /**
   * The worker for a connection.
   * @param candidates the workers that can take the connection; never empty
   * @param selected what {@link ask} gave; that worker may be gone since then
   */
  choose(candidates: readonly RoutedWorker[], arrival: Arrival, selected: number | undefined): RoutedWorker {
    const worker = candidates.find(({ workerId }) => workerId === selected);
    if (worker) return worker;
    // TLS hides the session id. The same client at the same worker saves most of the relaying.
    if (arrival.parsed.kind === "tls" || this.#options.loadBalancingMethod === "hash") {
      const address = this.#clientAddress(arrival) ?? "";
      return rendezvous(candidates, clientKey(address, this.#options.ipv6PrefixLength));
    }
    return this.#balance(candidates, undefined);
  }

  /** `selectWorker` did not answer in time. */
  onSilence(): void {
    this.#complain(
      `selectWorker() did not answer within ${this.#options.workerTimeoutMs} ms (workerTimeout).`,
    );
  }

  #complain(text: string, options?: ErrorOptions): undefined {
    this.#warn(new HoldfastError("HOLDFAST_ERR_SELECT_WORKER", text, options));
    return undefined;
  }

  #clientAddress({ handle, peer, parsed: { forwarded } }: Arrival): string | undefined {
    const own = peer?.address ?? addressOf(handle);
    const { isTrusted, forwardedHeader } = this.#options;
    if (own === undefined || forwarded === undefined || !isTrusted) return own;
    return reportedAddress(own, forwarded, forwardedHeader, isTrusted);
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | undefined | null)?.then === "function";
}
