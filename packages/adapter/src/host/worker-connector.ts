/**
 * How a worker finds the hub: says hello on the cluster's IPC channel, and opens the link that the hub names.
 * Owns: the listeners on `process`, and the timer of the handshake. Runs in: workers.
 */
import debugModule from "debug";
import { HoldfastError } from "../errors.js";
import { IpcLink } from "../link/ipc.js";
import { arePipes, pipeToHub } from "../link/pipe.js";
import { type Connector, Member } from "../member/member.js";
import { processWide } from "../process-wide.js";
import { batchWrites } from "../socketio/write-batch.js";
import { VERSION } from "../version.js";
import { PROTOCOL_VERSION } from "../wire/frame.js";
import { MESSAGE_KEY, readPrimaryMessage, type Welcome, type WorkerMessage } from "../wire/handshake.js";

const debug = debugModule("holdfast:adapter:connector");

/** A hub answers at once; this is for a primary that is still starting. */
const WELCOME_WAIT_MS = 2_000;

class WorkerConnector implements Connector {
  #member: Member | undefined;
  #ipcLink: IpcLink | undefined;
  #timer: NodeJS.Timeout | undefined;

  connect(member: Member): boolean {
    if (!this.#member) {
      this.#member = member;
      process.on("message", this.#onMessage);
      process.on("disconnect", this.#onDisconnect);
    }
    this.#ipcLink = undefined;
    if (process.connected) this.#sayHello();
    return process.connected;
  }

  get connected(): boolean {
    return process.connected;
  }

  disconnect(): void {
    this.#member = undefined;
    this.#ipcLink = undefined;
    clearTimeout(this.#timer);
    process.off("message", this.#onMessage);
    process.off("disconnect", this.#onDisconnect);
  }

  #sayHello(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#onNoWelcome(), WELCOME_WAIT_MS);
    this.#timer.unref();
    this.#send({
      [MESSAGE_KEY]: "hello",
      protocol: PROTOCOL_VERSION,
      version: VERSION,
      probe: new Uint8Array(1),
    });
  }

  #send(message: WorkerMessage): void {
    if (!process.connected) return;
    process.send?.(message, undefined, undefined, (error) => {
      if (error) debug("no word to the primary: %s", error.message);
    });
  }

  readonly #onMessage = (raw: unknown) => {
    const message = readPrimaryMessage(raw);
    if (!message) return;
    switch (message[MESSAGE_KEY]) {
      case "welcome":
        return this.#onWelcome(message);
      case "frames":
        return this.#ipcLink?.receive(message);
      case "end":
        return this.#ipcLink?.lost();
      case "invite":
        return this.#onInvite();
      case "refusal":
        clearTimeout(this.#timer);
        return this.#member?.stayAlone(
          new HoldfastError(
            "HOLDFAST_ERR_VERSION_MISMATCH",
            `The primary runs @holdfast/adapter ${message.version} (protocol ${message.protocol}), this worker ` +
              `${VERSION} (protocol ${PROTOCOL_VERSION}). Install the same version for both and restart the primary.`,
          ),
        );
    }
  };

  /** node:cluster tells the application that the primary is gone. A pipe may have ended a moment before. */
  readonly #onDisconnect = () => {
    clearTimeout(this.#timer);
    this.#ipcLink?.lost();
    this.#member?.giveUp();
  };

  /** A hub that invites a member has cut it off, or is a new one. */
  #onInvite(): void {
    if (this.#member?.state === "joined") this.#member.loseLink();
    else this.#sayHello();
  }

  #onNoWelcome(): void {
    this.#member?.stayAlone(
      new HoldfastError(
        "HOLDFAST_ERR_NO_HUB",
        `The primary has not answered for ${WELCOME_WAIT_MS} ms, so this worker's broadcasts and commands reach ` +
          "its own clients only. Call setupPrimary() of @holdfast/adapter in the primary process, before cluster.fork().",
      ),
    );
  }

  #onWelcome(welcome: Welcome): void {
    clearTimeout(this.#timer);
    if (welcome.link.kind === "ipc") {
      const { binary } = welcome.link;
      this.#member?.join(welcome, (events) => {
        this.#ipcLink = new IpcLink(
          (message, done) => process.send?.(message, undefined, undefined, done) ?? false,
          binary,
          events,
        );
        return this.#ipcLink;
      });
      return;
    }
    const { fds } = welcome.link;
    if (arePipes(fds)) this.#member?.join(welcome, (events) => pipeToHub(fds, events));
    // The hub invites again, and names the IPC channel with the next welcome.
    else this.#send({ [MESSAGE_KEY]: "no-pipe", member: welcome.member });
  }
}

/** The member of this worker. */
export function workerMember(): Member {
  return processWide("member", () => new Member(new WorkerConnector(), batchWrites));
}
