/**
 * Socket.IO's server side for the primary, which has no sockets of its own: a namespace whose adapter is a
 * member of the hub within the process.
 * Owns: a server without connections, and the member. Runs in: primary.
 */
import { type Namespace, Server, type ServerOptions } from "socket.io";
import type { Hub } from "../hub/hub.js";
import { EMITTER_WORKER_ID } from "../hub/hub-stats.js";
import { type Connector, Member } from "../member/member.js";
import type { OptionReader } from "../option-reader.js";
import { resolveAdapterOptions } from "../options.js";
import { EmitterAdapter } from "../socketio/emitter-adapter.js";
import { joinWithin, type LocalWay } from "./local-join.js";

/**
 * What `emitter()` of the primary's handle offers: a namespace's methods that need no socket of this process.
 */
export type Emitter = Pick<
  Namespace,
  | "emit"
  | "send"
  | "write"
  | "to"
  | "in"
  | "except"
  | "volatile"
  | "compress"
  | "timeout"
  | "socketsJoin"
  | "socketsLeave"
  | "disconnectSockets"
  | "fetchSockets"
  | "serverSideEmit"
  | "serverSideEmitWithAck"
>;

/** Options of `emitter()`. */
export interface EmitterOptions {
  /**
   * The scope of the workers' servers, as in the options of `createAdapter()`.
   * @default "/socket.io", the path that servers have unless changed
   */
  scope?: string;
  /**
   * The parser of the workers' servers, if it is not Socket.IO's own.
   * @see https://socket.io/docs/v4/custom-parser/
   */
  parser?: ServerOptions["parser"];
}

/** Those of them that `emitter()` and `createEmitter()` have in common. */
export function readEmitterOptions(fields: OptionReader<EmitterOptions>): EmitterOptions {
  const scope = fields.string("scope", undefined);
  const parser = fields.value("parser", undefined, isParser, "an object with an Encoder and a Decoder");
  return { ...(scope !== undefined && { scope }), ...(parser !== undefined && { parser }) };
}

function isParser(value: unknown): value is EmitterOptions["parser"] {
  if (value === undefined) return true;
  const { Encoder, Decoder } = Object(value) as { readonly Encoder?: unknown; readonly Decoder?: unknown };
  return typeof Encoder === "function" && typeof Decoder === "function";
}

/** A namespace that nothing was emitted to for as long, or for twice as long, is given back to the hub. */
const REST_MS = 10_000;

/** Everything that the primary emits, by one member. */
export class Emitters {
  readonly #hub: Hub;
  readonly #member: Member;
  /** An application may emit to a namespace for each of its users: only those that somebody holds are kept. */
  readonly #entries = new Map<string, WeakRef<Namespace>>();
  readonly #adapters = new WeakMap<Namespace, EmitterAdapter>();
  readonly #dropped = new FinalizationRegistry<string>((key) => this.#forget(key));
  #sweep: NodeJS.Timeout | undefined;
  #way: LocalWay | undefined;

  constructor(hub: Hub) {
    this.#hub = hub;
    const connector: Connector = {
      connect: (member) => this.#join(member),
      disconnect: () => {},
      connected: true,
      looksOn: false,
    };
    this.#member = new Member(connector);
  }

  /** The namespace's emitter; opened on the first call. */
  get(name: string, { scope, parser }: EmitterOptions): Emitter {
    const key = `${scope ?? ""}\n${name}`;
    const known = this.#entries.get(key)?.deref();
    if (known) return known;
    const adapterOptions = resolveAdapterOptions(scope === undefined ? {} : { scope });
    // Only the namespace that was asked for opens a way to the hub; a server always makes "/" as well.
    const server = new Server(parser === undefined ? {} : { parser });
    const nsp = server.of(name);
    const adapter = new EmitterAdapter(nsp, adapterOptions, this.#member);
    nsp.adapter = adapter;
    this.#adapters.set(nsp, adapter);
    this.#entries.set(key, new WeakRef(nsp));
    this.#dropped.register(nsp, key);
    this.#sweep ??= setInterval(() => this.#rest(), REST_MS).unref();
    return nsp;
  }

  /** Settles when nothing waits any more for its namespace to be open in the hub. */
  async allOpen(): Promise<void> {
    const open = (adapter: EmitterAdapter) => new Promise<void>((resolve) => adapter.whenOpen(resolve));
    await Promise.all([...this.#living()].map(open));
  }

  /** What was emitted until now still gets to the hub. */
  close(): void {
    clearInterval(this.#sweep);
    this.#bringToHub();
    for (const adapter of this.#living()) adapter.close();
    this.#entries.clear();
  }

  #rest(): void {
    for (const adapter of this.#living()) adapter.rest();
  }

  /** A new emitter may have taken the dropped one's place. */
  #forget(key: string): void {
    if (this.#entries.get(key)?.deref() === undefined) this.#entries.delete(key);
  }

  *#living(): IterableIterator<EmitterAdapter> {
    for (const entry of this.#entries.values()) {
      const nsp = entry.deref();
      const adapter = nsp && this.#adapters.get(nsp);
      if (adapter) yield adapter;
    }
  }

  /** For a new namespace that takes two rounds: what is emitted waits until the hub has opened it. */
  #bringToHub(): void {
    const way = this.#way;
    if (!way) return;
    for (let round = 0; round < 2; round++) {
      this.#member.flush();
      way.toHub.deliver();
      way.hubMember.outbox.flush();
      way.fromHub.deliver();
    }
  }

  #join(member: Member): boolean {
    this.#hub.whenReady(() => {
      this.#way = joinWithin(this.#hub, member, EMITTER_WORKER_ID);
    });
    return true;
  }
}
