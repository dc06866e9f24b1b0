/**
 * A link of another host's worker to a worker here: bytes, passed on in both directions.
 * Owns: both connections, until either is closed. Runs in: primary.
 */
import { connect, type Socket } from "node:net";
import { isAbsence } from "../rendezvous/private-directory.js";
import { HostAnswer } from "../wire/host-proof.js";
import { encodeHello } from "../wire/link-frame.js";

/** Where a worker's private socket is, and what opens it. */
export interface WorkerDoor {
  readonly number: number;
  readonly path: string;
  readonly secret: string;
  /** Whether the worker lives: then its socket, if it is absent, is back soon. */
  lives(): boolean;
}

const ignore = () => {};

/**
 * Answers a host that has proven itself, and leads it to the worker.
 * @param door `gone`: there is no such worker; `closed`: there is no safe way to it now
 * @param onEnd called once, when the link is over
 */
export function leadTo(door: WorkerDoor | "gone" | "closed", caller: Socket, onEnd: () => void): void {
  caller.on("error", ignore).once("close", onEnd);
  if (typeof door === "string") return answer(caller, door === "gone" ? HostAnswer.gone : HostAnswer.busy);
  // Half-open: what the one side has said last must reach the other.
  const worker = connect({ path: door.path, allowHalfOpen: true });
  worker.unref();
  let isReached = false;
  worker.once("connect", () => {
    isReached = true;
    worker.write(encodeHello(door.secret, door.number));
    caller.write(Buffer.of(HostAnswer.reached));
    caller.pipe(worker);
    worker.pipe(caller);
  });
  worker.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (isReached) return;
    answer(caller, isAbsence(code) && !door.lives() ? HostAnswer.gone : HostAnswer.busy);
  });
  worker.once("close", () => {
    if (isReached) caller.destroySoon();
  });
  caller.once("close", () => worker.destroy());
}

function answer(caller: Socket, what: HostAnswer): void {
  caller.end(Buffer.of(what), () => caller.destroy());
}
