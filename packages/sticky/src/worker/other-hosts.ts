/**
 * The other hosts, as this worker reaches the owners of sessions there.
 * Owns: a relay for each of them, the calls that are on their way, and requests that wait for news of a host.
 * Runs in: workers.
 *
 * The primary tells who they are. When it is gone, what it told last holds.
 */
import type { Socket } from "node:net";
import { HostCall, HostCallError, type HostIdentity, ofHost } from "../hosts/host-call.js";
import { hostTls } from "../hosts/host-tls.js";
import type { HostCredentials } from "../wire/host-credentials.js";
import { proofKey } from "../wire/host-proof.js";
import type { KnownHost, KnownHosts } from "../wire/messages.js";
import { decodeMark, isTag, NO_OWNER, tagOf } from "../wire/owner-mark.js";
import type { Door } from "./owner-link.js";
import type { Owner } from "./owners.js";
import { Relay } from "./relay.js";
import { UnknownHosts } from "./unknown-hosts.js";

/**
 * How many calls of one host are on their way at a time. Anybody can write a session id, and each that names another worker
 * makes a call.
 */
const MAX_CALLS = 4;
/** How long requests on their way to a host that is gone are waited for: its machine may be lost without a word. */
const LEAVE_MS = 10_000;

export interface OtherHostsHost {
  /** Called for each request that this worker has relayed to another host. */
  onRelayed(): void;
  /** Another host, or a worker of it, cannot be reached, and nobody knows why. */
  onTrouble(error: Error): void;
}

export class OtherHosts {
  readonly #host: OtherHostsHost;
  #identity: HostIdentity | undefined;
  #secret = "";
  /** With which the identity was made, as a text. */
  #credentials = "";
  readonly #byTag = new Map<string, OtherHost>();
  readonly #unknown = new UnknownHosts();

  constructor(host: OtherHostsHost) {
    this.#host = host;
  }

  /** The primary says who they are now. */
  meet({ name, secret, tls, others }: KnownHosts): void {
    this.#identify(name, secret, tls);
    const tags = new Map(others.map((other) => [other.tag, other]));
    for (const [tag, host] of this.#byTag) {
      if (host.isStill(tags.get(tag))) continue;
      this.#byTag.delete(tag);
      host.leave();
    }
    for (const [tag, other] of tags) {
      if (this.#byTag.has(tag)) continue;
      this.#byTag.set(tag, new OtherHost(other, () => this.#identity, this.#host));
    }
    this.#unknown.onKnown(tags.keys());
  }

  #identify(name: string, secret: string, tls: HostCredentials | undefined): void {
    const credentials = JSON.stringify(tls ?? "");
    if (secret === this.#secret && credentials === this.#credentials) return;
    this.#identity = { name, key: proofKey(secret), tls: tls && hostTls(tls) };
    this.#secret = secret;
    this.#credentials = credentials;
  }

  /** Settles when it is known whether another host has the session; `undefined` if it is. */
  untilKnown(sessionId: string): Promise<void> | undefined {
    const tag = tagOf(sessionId);
    if (!this.#identity || tag === undefined || this.#byTag.has(tag) || !isTag(tag)) return undefined;
    return this.#unknown.untilKnown(tag);
  }

  /** The worker of another host that owns a session; `undefined` if none does. */
  ownerOf(sessionId: string): Owner | undefined {
    const tag = tagOf(sessionId);
    const host = tag === undefined ? undefined : this.#byTag.get(tag);
    if (tag === undefined || !host) return undefined;
    const number = decodeMark(tag, sessionId);
    if (number === NO_OWNER) return undefined;
    return { number, marked: number, relay: host.relay, isRouted: false, getsConnections: false };
  }

  /** The relay to the workers of a host. */
  relayOf(tag: string): Relay | undefined {
    return this.#byTag.get(tag)?.relay;
  }

  relays(): Relay[] {
    return [...this.#byTag.values()].map(({ relay }) => relay);
  }

  /** This worker reaches no others any more. What is on its way is finished. */
  leave(): void {
    this.#unknown.close();
    for (const { relay } of this.#byTag.values()) relay.close();
  }
}

/** Why calls fail that fail again when they are made at once. */
const LASTING: ReadonlySet<HostCallError["why"]> = new Set(["silent", "trouble"]);

type CallDone = (result: Socket | HostCallError) => void;

/** A call that waits for others to end. */
interface Turn {
  start(): void;
  done: CallDone;
}

class OtherHost {
  readonly relay: Relay;
  readonly #known: KnownHost;
  readonly #identity: () => HostIdentity | undefined;
  /** Calls that wait for others to end. */
  readonly #waiting = new Set<Turn>();
  #calls = 0;
  // there → gone
  #state: "there" | "gone" = "there";

  constructor(known: KnownHost, identity: () => HostIdentity | undefined, host: OtherHostsHost) {
    this.#known = known;
    this.#identity = identity;
    this.relay = new Relay(
      {
        door: (owner) => this.#door(owner),
        // Its host says itself that it is gone.
        mayLive: async () => true,
        onTrouble: (error) => host.onTrouble(this.#named(error)),
      },
      () => host.onRelayed(),
      { hostName: known.name, way: known.tag },
    );
  }

  /** Whether it is this one, at the same place. */
  isStill(known: KnownHost | undefined): boolean {
    const { name, host, port, isTls } = this.#known;
    return known?.name === name && known.host === host && known.port === port && known.isTls === isTls;
  }

  /** It is gone, or has moved. */
  leave(): void {
    this.#state = "gone";
    this.relay.close(LEAVE_MS);
  }

  /** What is wrong with a link there tells of a worker, and not whose it is. */
  #named(error: Error): Error {
    if (error instanceof HostCallError) return error;
    return new Error(ofHost(this.#known, error.message), { cause: error });
  }

  #door(owner: number): Door | undefined {
    return this.#state === "gone" ? undefined : { open: (done) => this.#open(owner, done) };
  }

  /** Calls, when it is its turn. Returns the function that ends it. */
  #open(owner: number, done: CallDone): () => void {
    let call: HostCall | undefined;
    const end = () => {
      if (this.#waiting.delete(turn) || !call) return;
      call = undefined;
      this.#calls--;
      const [next] = this.#waiting;
      next?.start();
    };
    const turn: Turn = {
      start: () => {
        const identity = this.#identity();
        this.#waiting.delete(turn);
        if (!identity) return done(new HostCallError("busy", "this host has not joined the others"));
        this.#calls++;
        call = new HostCall(identity, this.#known, owner, (result) => {
          // Those that wait would find the same, each in its turn.
          if (result instanceof HostCallError && LASTING.has(result.why)) this.#turnAway(result);
          end();
          done(result);
        });
      },
      done,
    };
    if (this.#calls < MAX_CALLS) turn.start();
    else this.#waiting.add(turn);
    return () => {
      call?.abort();
      end();
    };
  }

  #turnAway(error: HostCallError): void {
    const turns = [...this.#waiting];
    this.#waiting.clear();
    for (const turn of turns) turn.done(error);
  }
}
