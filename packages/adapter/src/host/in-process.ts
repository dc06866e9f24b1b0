/**
 * The hub of a process that is no worker: beside the application, so that one process behaves as a cluster of one.
 * It is the primary's, if `setupPrimary()` was called; otherwise one of its own.
 * Owns: that hub of its own, while somebody needs it. Runs in: single processes, and the primary.
 */
import { HoldfastError } from "../errors.js";
import type { BackplaneFactory } from "../hub/backplane.js";
import { Hub, type HubEvents } from "../hub/hub.js";
import { type Connector, Member } from "../member/member.js";
import { type BackplaneOption, resolvePrimaryOptions } from "../options.js";
import { processWide } from "../process-wide.js";
import { batchWrites } from "../socketio/write-batch.js";
import { joinWithin, NO_WORKER_ID } from "./local-join.js";

class InProcessConnector implements Connector {
  /** It is never missing, so its loss is no news: another one takes its place at once. */
  readonly connected = false;
  readonly looksOn = true;
  readonly member = new Member(this, batchWrites);
  #own: Hub | undefined;
  #primarys: Hub | undefined;
  #backplane: BackplaneOption | undefined;
  #state: "idle" | "connected" = "idle";

  connect(member: Member): boolean {
    this.#state = "connected";
    const hub = this.#primarys ?? this.#openOwn();
    // Not at once: the member is in the middle of its own step.
    setImmediate(() => hub.whenReady(() => this.#join(member, hub)));
    return true;
  }

  disconnect(): Promise<void> | undefined {
    this.#state = "idle";
    const own = this.#own;
    this.#own = undefined;
    if (!own) return undefined;
    // The member says goodbye first.
    return new Promise((resolve) => setImmediate(() => resolve(own.close())));
  }

  /**
   * Joins the hub of this process with those of other hosts.
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION` if it has another backplane, or is open without one
   */
  use(backplane: BackplaneOption): void {
    if (this.#backplane === backplane) return;
    if (this.#backplane || this.#own || this.#primarys) {
      throw new HoldfastError(
        "HOLDFAST_ERR_INVALID_OPTION",
        'The option "backplane" of createAdapter() came too late, or twice: all servers of a process share one hub. ' +
          "Give the first createAdapter() of the process the backplane; in a primary, give it to setupPrimary().",
      );
    }
    this.#backplane = backplane;
  }

  /** The primary's hub takes the place of the own one. */
  offer(hub: Hub): void {
    this.#primarys = hub;
    if (this.#state === "idle") return;
    this.member.move();
    this.#own?.close();
    this.#own = undefined;
    this.connect(this.member);
  }

  /** The primary's hub is about to be closed. Who has joined it hears its goodbye; who waits for it would hear nothing. */
  withdraw(hub: Hub): void {
    if (this.#primarys !== hub) return;
    this.#primarys = undefined;
    if (this.#state === "connected" && this.member.state !== "joined") this.connect(this.member);
  }

  #join(member: Member, hub: Hub): void {
    const isWanted = this.#state === "connected" && member.state !== "joined";
    if (isWanted && hub === (this.#primarys ?? this.#own)) joinWithin(hub, member, NO_WORKER_ID);
  }

  #openOwn(): Hub {
    const events: HubEvents = {
      onJoin: ignore,
      onLeave: ignore,
      onStalled: ignore,
      onJournalFull: ignore,
      onError: (error) => process.emitWarning(error),
    };
    const backplane = this.#backplane as BackplaneFactory | undefined;
    this.#own ??= new Hub(resolvePrimaryOptions(), events, { backplane });
    return this.#own;
  }
}

/** What the process has of it. */
export function inProcess(): InProcessConnector {
  return processWide("in-process", () => new InProcessConnector());
}

function ignore(): void {}
