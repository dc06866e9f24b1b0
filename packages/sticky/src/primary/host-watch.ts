/**
 * Sees when another host's process ends: by the end of a connection that it keeps to it.
 * Owns: that connection, or the call for it. Runs in: primary, one for each other host.
 *
 * The end of a connection proves nothing by itself, a network may cut it; nor does it that nobody listens at the host's port
 * any more, or another host does: something in between may turn calls away. So the two together are only a suspicion. As
 * long as the other host is one of them, it is called again, and suspected again.
 */
import type { Socket } from "node:net";
import { type CalledHost, HostCall, HostCallError, type HostIdentity } from "../hosts/host-call.js";
import { HostAnswer, WATCH } from "../wire/host-proof.js";

const FIRST_RETRY_MS = 20;
const LAST_RETRY_MS = 2_000;
/** What is wrong with a host for so many calls in a row does not pass by itself; some are made while hosts start. */
const LASTING_CALLS = 6;

export interface HostWatchEvents {
  /** Its process seems to have ended. Called again and again, until `close()`. */
  onSuspect(): void;
  /** It is there, and cannot be spoken with. Called once, until it has been reached again. */
  onTrouble(error: HostCallError): void;
}

export class HostWatch {
  readonly host: CalledHost;
  readonly #identity: HostIdentity;
  readonly #events: HostWatchEvents;
  #call: HostCall | undefined;
  #socket: Socket | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  /** Calls in a row that found something wrong with the host. */
  #troubles = 0;
  /** Whether it has been there: a port that was never open may be closed by a firewall. */
  #wasThere = false;
  // calling ⇄ watching; calling, watching → pausing → calling; any → closed
  #state: "calling" | "pausing" | "watching" | "closed" = "calling";

  constructor(identity: HostIdentity, host: CalledHost, events: HostWatchEvents) {
    this.host = host;
    this.#identity = identity;
    this.#events = events;
    this.#dial();
  }

  close(): void {
    this.#state = "closed";
    clearTimeout(this.#retry);
    this.#call?.abort();
    this.#socket?.destroy();
  }

  #dial(): void {
    this.#state = "calling";
    this.#call = new HostCall(this.#identity, this.host, WATCH, (result) => {
      this.#call = undefined;
      if (result instanceof HostCallError) this.#onFailed(result);
      else this.#watch(result);
    });
  }

  #onFailed(error: HostCallError): void {
    this.#pause();
    this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
    if (error.why === "away" && this.#wasThere) this.#events.onSuspect();
    this.#troubles = error.why === "trouble" ? this.#troubles + 1 : 0;
    if (this.#troubles === LASTING_CALLS) this.#events.onTrouble(error);
  }

  #pause(): void {
    this.#state = "pausing";
    this.#retry = setTimeout(() => this.#dial(), this.#retryMs).unref();
  }

  #watch(socket: Socket): void {
    this.#state = "watching";
    this.#wasThere = true;
    this.#retryMs = FIRST_RETRY_MS;
    this.#troubles = 0;
    this.#socket = socket;
    socket.on("data", ([word]) => {
      if (word === HostAnswer.leaving) this.#onLeaving(socket);
    });
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#socket = undefined;
      if (this.#state === "watching") this.#dial();
    });
    socket.resume();
  }

  /** It lives on without its port. It may open the same one again, which nobody would tell. */
  #onLeaving(socket: Socket): void {
    this.#wasThere = false;
    this.#retryMs = LAST_RETRY_MS;
    this.#pause();
    socket.destroy();
  }
}
