/**
 * How a process joins a hub at a Unix socket: again and again until it has, and again when the link is lost. Where there
 * may be one to start, it starts it.
 * Owns: the call that is under way, the timer of the next one. Runs in: workers.
 */
import { dirname } from "node:path";
import { reportFailure } from "../diagnostics.js";
import { HoldfastError } from "../errors.js";
import type { BackplaneFactory } from "../hub/backplane.js";
import type { Connector, Member } from "../member/member.js";
import { afterSilence } from "../silence.js";
import { VERSION } from "../version.js";
import { PROTOCOL_VERSION } from "../wire/frame.js";
import type { Refusal } from "../wire/handshake.js";
import { checkBackplane } from "./expected-backplane.js";
import { HubCall } from "./hub-call.js";
import { HubStarter } from "./hub-starter.js";
import { checkLength, checkPrivateDirectory, lookAtSocket } from "./socket-path.js";

/** For so long nobody is told that there is no hub: it may be starting. */
const PATIENCE_MS = 2_000;
const FIRST_RETRY_MS = 20;
const LAST_RETRY_MS = 500;
const IS_ABSENT = "is not there";
const DOES_NOT_ANSWER = "does not answer";
/** What the system says where no hub is. */
const ABSENT = ["ENOENT", "ECONNREFUSED"];

export interface SocketConnectorOptions {
  readonly path: string;
  /** `cluster.worker.id`, or 0. */
  readonly workerId: number;
  /** Whether to start the application's hub process where none is. */
  readonly starts: boolean;
  /** What the hub is to have. */
  readonly backplane?: BackplaneFactory | undefined;
}

export class SocketConnector implements Connector {
  readonly #options: SocketConnectorOptions;
  readonly #starter: HubStarter | undefined;
  #member: Member | undefined;
  #call: HubCall | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  /** Ends the wait for the answer to the call. */
  #endWait = () => {};
  /** When the hub began to be looked for, or was there last. */
  #since = 0;
  /** Of the failure that the member has been told of, since it had a hub. */
  #toldCode: string | undefined;

  constructor(options: SocketConnectorOptions) {
    this.#options = options;
    if (!options.starts) return;
    this.#starter = new HubStarter(options.path, options.backplane?.recipe, (error) => this.#tell(error));
  }

  /** A hub that is gone is replaced; whoever loses it hears of that once. */
  readonly connected = true;
  readonly looksOn = true;

  get hubPlace(): string {
    return `at "${this.#options.path}"`;
  }

  connect(member: Member): boolean {
    this.#member = member;
    this.#toldCode = undefined;
    this.#retryMs = FIRST_RETRY_MS;
    this.#since = performance.now();
    // Not at once: the member is in the middle of its own step.
    this.#callLater(0);
    return true;
  }

  disconnect(): void {
    this.#member = undefined;
    this.#call?.close();
    this.#call = undefined;
    clearTimeout(this.#retry);
    this.#endWait();
  }

  #callLater(ms: number): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#callHub(), ms).unref();
  }

  #callHub(): void {
    const { path, workerId } = this.#options;
    try {
      checkLength(path);
      if (this.#starter) checkPrivateDirectory(dirname(path));
      // Not even a connection to what belongs to somebody else.
      if (!lookAtSocket(path)) return this.#onFailure("ENOENT");
    } catch (error) {
      this.#tell(error as HoldfastError);
      return this.#callLater(LAST_RETRY_MS);
    }
    const call = new HubCall(path, workerId, {
      onWelcome: (welcome, makeLink) => {
        this.#onCallEnd();
        if (!this.#member) return;
        this.#member.join(welcome, makeLink);
        checkBackplane(this.#member, welcome, this.#options.backplane?.name);
      },
      onStarting: () => this.#onStarting(),
      onRefusal: (refusal) => this.#onRefusal(refusal),
      onFailure: (code) => this.#onFailure(code),
    });
    this.#call = call;
    this.#awaitAnswer();
  }

  #onStarting(): void {
    this.#since = performance.now();
    this.#awaitAnswer();
  }

  #awaitAnswer(): void {
    this.#endWait();
    this.#endWait = afterSilence(PATIENCE_MS, () => this.#tellNoHub(DOES_NOT_ANSWER));
  }

  #onCallEnd(): void {
    this.#call = undefined;
    this.#endWait();
  }

  #onFailure(code: string): void {
    this.#onCallEnd();
    if (!this.#member) return;
    reportFailure(`no hub at ${this.#options.path}: ${code}`);
    const isLate = performance.now() - this.#since > PATIENCE_MS;
    if (this.#starter && ABSENT.includes(code)) this.#starter.start();
    else if (isLate)
      this.#tellNoHub(ABSENT.includes(code) ? IS_ABSENT : `does not answer as a hub does (${code})`);
    this.#callLater(this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
  }

  /** The hub of the other version ends, at the latest when its last member has. */
  #onRefusal({ version, protocol }: Refusal): void {
    this.#onCallEnd();
    this.#tell(
      new HoldfastError(
        "HOLDFAST_ERR_VERSION_MISMATCH",
        `The hub at "${this.#options.path}" runs @holdfast/adapter ${version} (protocol ${protocol}), this process ` +
          `${VERSION} (protocol ${PROTOCOL_VERSION}). Install the same version for both, and restart what runs the other.`,
      ),
    );
    this.#callLater(LAST_RETRY_MS);
  }

  /** @param how it is missing */
  #tellNoHub(how: string): void {
    const { path } = this.#options;
    const cure =
      how === IS_ABSENT
        ? `Start one: npx holdfast-hub --path ${path}`
        : "Look for what blocks or stops its process, or end it. It is joined as soon as it answers.";
    this.#tell(
      new HoldfastError(
        "HOLDFAST_ERR_NO_HUB",
        `The hub at "${path}" ${how}, so this process's broadcasts and commands reach its own clients only. ${cure}`,
      ),
    );
  }

  /** Once for each kind of failure until there is a hub again. */
  #tell(error: HoldfastError): void {
    if (!this.#member || this.#member.state === "joined" || this.#toldCode === error.code) return;
    this.#toldCode = error.code;
    this.#member.stayAlone(error);
  }
}
