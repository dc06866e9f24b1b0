/**
 * How a worker of `node:cluster` finds the hub: says hello on the cluster's IPC channel, and opens the link that the hub
 * names. If nobody answers there, the parent has no hub, and the worker goes elsewhere: to the application's hub
 * process. A parent that opens its hub later invites, and wins.
 * Owns: the listeners on `process`, and the timer of the handshake. Runs in: workers.
 */
import { reportFailure } from "../diagnostics.js";
import { HoldfastError } from "../errors.js";
import { IpcLink } from "../link/ipc.js";
import { arePipes, pipeToHub } from "../link/pipe.js";
import type { Connector, Member } from "../member/member.js";
import { afterSilence } from "../silence.js";
import { VERSION } from "../version.js";
import { PROTOCOL_VERSION } from "../wire/frame.js";
import { MESSAGE_KEY, readPrimaryMessage, type Welcome, type WorkerMessage } from "../wire/handshake.js";
import { checkBackplane } from "./expected-backplane.js";
import { parentHasSign } from "./hub-sign.js";
import type { SocketConnector } from "./socket-connector.js";

/** A hub answers at once, if only that it is starting; this is for a primary that has not come to open one. */
const WELCOME_WAIT_MS = 2_000;
/** For a parent that has given no sign of a hub. */
const ANSWER_WAIT_MS = 200;

const NO_SET_UP = "Call setupPrimary() of @holdfast/adapter in the primary process, before cluster.fork().";
const STOOD_STILL =
  "Its hub was starting, and has been closed, or something blocks or stops the primary. It is joined as soon as it answers.";

/**
 * parent: the hub is the parent's, or may be. elsewhere: the parent has none.
 *
 * parent → elsewhere, when it does not answer; elsewhere → parent, when it does after all
 */
type Where = "parent" | "elsewhere";

export class WorkerConnector implements Connector {
  readonly #elsewhere: SocketConnector;
  readonly #backplane: string | undefined;
  #member: Member | undefined;
  #where: Where = "parent";
  /** Whether the parent has, or had, a hub: then there is no other. */
  #hasParentHub = parentHasSign();
  #ipcLink: IpcLink | undefined;
  /** Ends the wait for the answer to the hello. */
  #endWait = () => {};
  // silent → asking, with a hello → starting, when the hub has said that it is there → silent, with the welcome
  #handshake: "silent" | "asking" | "starting" = "silent";
  /** Which hello is to be answered: the welcome to one that was withdrawn may be on its way. */
  #attempt = 0;

  /**
   * @param elsewhere finds the hub if the parent has none
   * @param backplane the name of what the hub is to have
   */
  constructor(elsewhere: SocketConnector, backplane: string | undefined) {
    this.#elsewhere = elsewhere;
    this.#backplane = backplane;
  }

  connect(member: Member): boolean {
    if (!this.#member) {
      this.#member = member;
      // First: when a listener of the application throws, Node.js calls none after it.
      process.prependListener("message", this.#onMessage);
      process.prependListener("disconnect", this.#onDisconnect);
    }
    this.#ipcLink = undefined;
    // The application may have closed the channel: whoever never had a hub behind it asks nobody there.
    const asksParent = process.connected || this.#hasParentHub;
    if (this.#where === "elsewhere" || !asksParent) return this.#goElsewhere(member);
    if (process.connected) this.#sayHello();
    return process.connected;
  }

  #goElsewhere(member: Member): boolean {
    this.#where = "elsewhere";
    return this.#elsewhere.connect(member);
  }

  get connected(): boolean {
    return this.#where === "elsewhere" ? this.#elsewhere.connected : process.connected;
  }

  get looksOn(): boolean {
    return this.#where === "elsewhere";
  }

  get hubPlace(): string {
    return this.#where === "elsewhere" ? this.#elsewhere.hubPlace : `in the primary (pid ${process.ppid})`;
  }

  disconnect(): void {
    if (this.#where === "elsewhere") this.#elsewhere.disconnect();
    // From here on, nobody hears the parent's words: whoever connects next asks it anew.
    this.#where = "parent";
    this.#member = undefined;
    this.#ipcLink = undefined;
    this.#endWait();
    if (this.#handshake !== "silent") this.#send({ [MESSAGE_KEY]: "withdraw" });
    this.#handshake = "silent";
    process.off("message", this.#onMessage);
    process.off("disconnect", this.#onDisconnect);
  }

  #sayHello(): void {
    if (this.#handshake === "silent") this.#attempt++;
    this.#handshake = "asking";
    this.#awaitWelcome();
    this.#send({
      [MESSAGE_KEY]: "hello",
      protocol: PROTOCOL_VERSION,
      version: VERSION,
      probe: new Uint8Array(1),
      attempt: this.#attempt,
    });
  }

  #awaitWelcome(): void {
    this.#endWait();
    const waitMs = this.#hasParentHub ? WELCOME_WAIT_MS : ANSWER_WAIT_MS;
    this.#endWait = afterSilence(waitMs, () => this.#onNoWelcome());
  }

  #send(message: WorkerMessage): void {
    if (!process.connected) return;
    process.send?.(message, undefined, undefined, (error) => {
      if (error) reportFailure("no word to the primary", { error });
    });
  }

  readonly #onMessage = (raw: unknown) => {
    const message = readPrimaryMessage(raw);
    if (!message) return;
    this.#onWordOfParent();
    switch (message[MESSAGE_KEY]) {
      case "welcome":
        return this.#onWelcome(message);
      case "starting":
        this.#handshake = "starting";
        return this.#awaitWelcome();
      case "frames":
        return this.#ipcLink?.receive(message);
      case "end":
        return this.#ipcLink?.lost();
      case "invite":
        return this.#onInvite();
      case "refusal":
        this.#endWait();
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
    if (this.#where === "elsewhere") return;
    this.#endWait();
    if (!this.#hasParentHub && this.#member) return void this.#goElsewhere(this.#member);
    this.#ipcLink?.lost();
    this.#member?.giveUp();
  };

  /** It has a hub after all. */
  #onWordOfParent(): void {
    this.#hasParentHub = true;
    if (this.#where === "parent") return;
    this.#where = "parent";
    this.#elsewhere.disconnect();
    this.#member?.move();
  }

  /** A hub that invites a member has cut it off, or is a new one. */
  #onInvite(): void {
    if (this.#member?.state === "joined") this.#member.loseLink();
    else this.#sayHello();
  }

  #onNoWelcome(): void {
    if (!this.#member) return;
    if (!this.#hasParentHub) return void this.#goElsewhere(this.#member);
    this.#member.stayAlone(
      new HoldfastError(
        "HOLDFAST_ERR_NO_HUB",
        `The primary has not answered for ${WELCOME_WAIT_MS} ms, so this worker's broadcasts and commands reach ` +
          `its own clients only. ${this.#handshake === "starting" ? STOOD_STILL : NO_SET_UP}`,
      ),
    );
  }

  #onWelcome(welcome: Welcome): void {
    // One to a hello that was withdrawn, or the second to one that was said twice.
    if (!this.#member || this.#handshake === "silent" || welcome.attempt !== this.#attempt) return;
    this.#endWait();
    this.#handshake = "silent";
    this.#joinBy(this.#member, welcome);
    checkBackplane(this.#member, welcome, this.#backplane);
  }

  #joinBy(member: Member, welcome: Welcome): void {
    if (welcome.link.kind === "ipc") {
      const { binary } = welcome.link;
      member.join(welcome, (events) => {
        this.#ipcLink = new IpcLink(
          (message, done) => process.send?.(message, undefined, undefined, done) ?? false,
          binary,
          events,
        );
        return this.#ipcLink;
      });
      return;
    }
    const fds = welcome.link.kind === "pipe" ? welcome.link.fds : undefined;
    if (fds && arePipes(fds)) member.join(welcome, (events) => pipeToHub(fds, events));
    // The hub invites again, and names the IPC channel with the next welcome.
    else this.#send({ [MESSAGE_KEY]: "no-pipe", member: welcome.member });
  }
}
