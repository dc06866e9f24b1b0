/**
 * Sees when another host's process ends: by the end of a connection that it keeps to it.
 * Owns: that connection, or the call for it. Runs in: primary, one for each other host.
 *
 * The end of a connection proves nothing by itself: a network may cut it. If then nobody listens at the host's port any
 * more, or another host does, the process has ended.
 */
import type { Socket } from "node:net";
import { type CalledHost, HostCall, HostCallError, type HostIdentity } from "../hosts/host-call.js";
import { HostAnswer, WATCH } from "../wire/host-proof.js";

const FIRST_RETRY_MS = 20;
const LAST_RETRY_MS = 2_000;

export class HostWatch {
  readonly host: CalledHost;
  readonly #identity: HostIdentity;
  readonly #onEnded: () => void;
  #call: HostCall | undefined;
  #socket: Socket | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  /** Whether it has been there: a port that was never open may be closed by a firewall. */
  #wasThere = false;
  // calling ⇄ watching; calling, watching → pausing → calling; any → closed
  #state: "calling" | "pausing" | "watching" | "closed" = "calling";

  /** @param onEnded called once, when it is certain that the process has ended */
  constructor(identity: HostIdentity, host: CalledHost, onEnded: () => void) {
    this.host = host;
    this.#identity = identity;
    this.#onEnded = onEnded;
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

  #onFailed({ why }: HostCallError): void {
    if (why === "gone" && this.#wasThere) {
      this.close();
      this.#onEnded();
      return;
    }
    this.#pause();
    this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
  }

  #pause(): void {
    this.#state = "pausing";
    this.#retry = setTimeout(() => this.#dial(), this.#retryMs).unref();
  }

  #watch(socket: Socket): void {
    this.#state = "watching";
    this.#wasThere = true;
    this.#retryMs = FIRST_RETRY_MS;
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
