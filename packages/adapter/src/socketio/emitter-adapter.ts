/**
 * The adapter of a namespace that has no sockets in this process and only reaches those of the workers.
 * Owns: the namespace's port, while it is in use. Runs in: primary, for its emitters.
 */
import type { Namespace } from "socket.io";
import { Adapter, type BroadcastFlags, type BroadcastOptions, type Room } from "socket.io-adapter";
import type { Member } from "../member/member.js";
import type { NamespacePort } from "../member/namespace-port.js";
import type { PortHandlers } from "../member/port-contract.js";
import type { ResolvedAdapterOptions } from "../options.js";
import { OpenFlag } from "../wire/frame.js";
import { complete } from "./broadcast-options.js";
import { type LocalSockets, Operations } from "./operations.js";
import { PreparedPacket } from "./prepared-packet.js";
import { decodePacket, isPlainEvent, type Packet, pathOf } from "./private-fields.js";
import { RecoveryPort } from "./recovery-port.js";

/** What is open in the hub for the namespace. */
interface Way {
  readonly port: NamespacePort;
  readonly operations: Operations;
  readonly recoveryPort: RecoveryPort;
  /** Whether servers of the namespace have `connectionStateRecovery`, as the hub says. */
  isRecoverable: boolean;
}

export class EmitterAdapter extends Adapter {
  declare readonly nsp: Namespace;
  readonly #options: ResolvedAdapterOptions;
  readonly #member: Member;
  // resting ⇄ open; open, resting → closed, which keeps the way that it had: what is sent on it is refused.
  #state: "resting" | "open" | "closed" = "resting";
  #way: Way | undefined;
  #wasUsed = false;

  constructor(nsp: Namespace, options: ResolvedAdapterOptions, member: Member) {
    super(nsp);
    this.#options = options;
    this.#member = member;
  }

  /** Calls back when what was emitted has got to the hub, as far as it waited for the namespace to be open there. */
  whenOpen(callback: () => void): void {
    if (this.#state === "open" && this.#way) this.#way.port.whenOpen(callback);
    else callback();
  }

  override close(): void {
    const { port, operations } = this.#use();
    this.#state = "closed";
    operations.close();
    port.close();
  }

  /**
   * Call it every now and then: gives the namespace back to the hub if nothing has gone this way since the last
   * call and nothing is to come. The next use opens it again.
   */
  rest(): void {
    const way = this.#way;
    const isIdle = !this.#wasUsed && way?.port.isIdle === true;
    this.#wasUsed = false;
    if (this.#state !== "open" || !way || !isIdle) return;
    this.#state = "resting";
    this.#way = undefined;
    way.operations.close();
    way.port.close();
  }

  #use(): Way {
    this.#wasUsed = true;
    if (this.#way) return this.#way;
    this.#state = "open";
    this.#way = this.#open();
    return this.#way;
  }

  #open(): Way {
    const { scope, onError } = this.#options;
    const name = `${scope ?? pathOf(this.nsp)}\n${this.nsp.name}`;
    const onRecoverable = () => {
      way.isRecoverable = true;
    };
    const port = this.#member.open(name, OpenFlag.emitter, { ...HEARS_NOTHING, onRecoverable, onError });
    const operations = new Operations(this.nsp, port, this.#options, NO_SOCKETS);
    const recoveryPort = new RecoveryPort(port, this.#member);
    const way: Way = { port, operations, recoveryPort, isRecoverable: false };
    return way;
  }

  /** The number of workers that have this namespace. */
  override serverCount(): Promise<number> {
    return this.#use().port.requests.serverCount(this.#options.requestsTimeout);
  }

  override broadcast(packet: Packet, options: BroadcastOptions): void {
    const { rooms, except, flags } = complete(options);
    if (flags.local) return;
    const way = this.#use();
    if (way.port.id !== 0 && way.isRecoverable && isPlainEvent(packet)) {
      return this.#sendRecoverable(way, packet, rooms, except, flags);
    }
    const prepared = PreparedPacket.encode(this.nsp, packet);
    way.port.whenOpen(() => {
      if (!way.isRecoverable || !isPlainEvent(packet)) {
        return way.port.broadcast(prepared, rooms, except, flags);
      }
      // The hub has just said so. The packet is as it was when it was emitted, whatever its arguments are now.
      const emitted = decodePacket(this.nsp, prepared.encoded);
      if (emitted) this.#sendRecoverable(way, emitted, rooms, except, flags);
    }, prepared);
  }

  #sendRecoverable(
    { port, recoveryPort }: Way,
    packet: Packet,
    rooms: Set<Room>,
    except: Set<Room>,
    flags: BroadcastFlags,
  ): void {
    const prepared = PreparedPacket.encodeWithOffset(this.nsp, packet);
    if (flags.volatile) return port.broadcast(prepared, rooms, except, flags);
    if (recoveryPort.canPlace()) recoveryPort.record(prepared, rooms, except, flags, false, () => {});
  }

  override broadcastWithAck(
    packet: Packet,
    options: BroadcastOptions,
    clientCountCallback: (count: number) => void,
    ack: (...args: unknown[]) => void,
  ): void {
    const { flags, ...selection } = complete(options);
    this.#use().operations.broadcastWithAck(packet, selection, flags, 0, clientCountCallback, ack);
  }

  override addSockets(options: BroadcastOptions, rooms: Room[]): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local) this.#use().operations.join(selection, rooms);
  }

  override delSockets(options: BroadcastOptions, rooms: Room[]): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local) this.#use().operations.leave(selection, rooms);
  }

  override disconnectSockets(options: BroadcastOptions, close: boolean): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local) this.#use().operations.disconnect(selection, close);
  }

  /** @throws {RequestError} as `fetchSockets()` of a worker's namespace */
  override async fetchSockets(options: BroadcastOptions): Promise<unknown[]> {
    const { flags, ...selection } = complete(options);
    return flags.local ? [] : this.#use().operations.fetchSockets(selection, flags.timeout, []);
  }

  override serverSideEmit(packet: unknown[]): void {
    this.#use().operations.serverSideEmit(packet);
  }
}

const NO_SOCKETS: LocalSockets = {
  addSockets: () => {},
  delSockets: () => {},
  disconnectSockets: () => {},
  fetchSockets: async () => [],
  ask: () => 0,
};

/** The hub sends a member that only emits neither broadcasts nor requests. */
const HEARS_NOTHING: Omit<PortHandlers, "onRecoverable" | "onError"> = {
  recovery: undefined,
  onBroadcast: () => {},
  onCommand: () => {},
  onRequest: (_operation, _value, responder) => responder.end(),
  onBroadcastWithAck: (_selection, _flags, _fields, responder) => responder.end(),
  onTaken: () => {},
  reportRooms: () => {},
};
