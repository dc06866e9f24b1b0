/**
 * The adapter of a namespace that has no sockets in this process and only reaches those of the workers.
 * Owns: the namespace's port. Runs in: primary, for its emitters.
 */
import type { Namespace } from "socket.io";
import { Adapter, type BroadcastFlags, type BroadcastOptions, type Room } from "socket.io-adapter";
import type { Member } from "../member/member.js";
import type { NamespacePort } from "../member/namespace-port.js";
import type { PortHandlers } from "../member/port-contract.js";
import type { ResolvedAdapterOptions } from "../options.js";
import { OpenFlag } from "../wire/frame.js";
import { complete } from "./broadcast-options.js";
import { Operations } from "./operations.js";
import { PreparedPacket } from "./prepared-packet.js";
import { decodePacket, isPlainEvent, type Packet, pathOf } from "./private-fields.js";
import { RecoveryPort } from "./recovery-port.js";

export class EmitterAdapter extends Adapter {
  declare readonly nsp: Namespace;
  readonly #requestsTimeout: number;
  readonly #port: NamespacePort;
  readonly #operations: Operations;
  readonly #recoveryPort: RecoveryPort;
  /** Whether servers of the namespace have `connectionStateRecovery`, as the hub says. */
  #isRecoverable = false;

  constructor(nsp: Namespace, { requestsTimeout, scope, onError }: ResolvedAdapterOptions, member: Member) {
    super(nsp);
    this.#requestsTimeout = requestsTimeout;
    const name = `${scope ?? pathOf(nsp)}\n${nsp.name}`;
    this.#port = member.open(name, OpenFlag.emitter, {
      ...HEARS_NOTHING,
      onRecoverable: () => {
        this.#isRecoverable = true;
      },
      onError,
    });
    this.#operations = new Operations(nsp, this.#port, requestsTimeout, {
      addSockets: () => {},
      delSockets: () => {},
      disconnectSockets: () => {},
      fetchSockets: async () => [],
      broadcastWithAck: () => {},
    });
    this.#recoveryPort = new RecoveryPort(this.#port, member);
  }

  override close(): void {
    this.#operations.close();
    this.#port.close();
  }

  /** The number of workers that have this namespace. */
  override serverCount(): Promise<number> {
    return this.#port.serverCount(this.#requestsTimeout);
  }

  override broadcast(packet: Packet, options: BroadcastOptions): void {
    const { rooms, except, flags } = complete(options);
    if (flags.local) return;
    if (this.#port.id !== 0 && this.#isRecoverable && isPlainEvent(packet)) {
      return this.#sendRecoverable(packet, rooms, except, flags);
    }
    const prepared = PreparedPacket.encode(this.nsp, packet);
    this.#port.whenOpen(() => {
      if (!this.#isRecoverable || !isPlainEvent(packet)) {
        return this.#port.broadcast(prepared, rooms, except, flags);
      }
      // The hub has just said so. The packet is as it was when it was emitted, whatever its arguments are now.
      const emitted = decodePacket(this.nsp, prepared.encoded);
      if (emitted) this.#sendRecoverable(emitted, rooms, except, flags);
    });
  }

  #sendRecoverable(packet: Packet, rooms: Set<Room>, except: Set<Room>, flags: BroadcastFlags): void {
    const prepared = PreparedPacket.encodeWithOffset(this.nsp, packet);
    if (flags.volatile) return this.#port.broadcast(prepared, rooms, except, flags);
    if (this.#recoveryPort.canPlace)
      this.#recoveryPort.record(prepared, rooms, except, flags, false, () => {});
  }

  override broadcastWithAck(
    packet: Packet,
    options: BroadcastOptions,
    clientCountCallback: (count: number) => void,
    ack: (...args: unknown[]) => void,
  ): void {
    const { flags, ...selection } = complete(options);
    this.#operations.broadcastWithAck(packet, selection, flags, 0, clientCountCallback, ack);
  }

  override addSockets(options: BroadcastOptions, rooms: Room[]): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local) this.#operations.join(selection, rooms);
  }

  override delSockets(options: BroadcastOptions, rooms: Room[]): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local) this.#operations.leave(selection, rooms);
  }

  override disconnectSockets(options: BroadcastOptions, close: boolean): void {
    const { flags, ...selection } = complete(options);
    if (!flags.local) this.#operations.disconnect(selection, close);
  }

  /** @throws {RequestError} as `fetchSockets()` of a worker's namespace */
  override async fetchSockets(options: BroadcastOptions): Promise<unknown[]> {
    const { flags, ...selection } = complete(options);
    return flags.local ? [] : this.#operations.fetchSockets(selection, flags.timeout, []);
  }

  override serverSideEmit(packet: unknown[]): void {
    this.#operations.serverSideEmit(packet);
  }
}

/** The hub sends a member that only emits neither broadcasts nor requests. */
const HEARS_NOTHING: Omit<PortHandlers, "onRecoverable" | "onError"> = {
  recovery: undefined,
  onBroadcast: () => {},
  onCommand: () => {},
  onRequest: (_operation, _value, responder) => responder.end(),
  onBroadcastWithAck: (_selection, _flags, _fields, responder) => responder.end(),
  reportRooms: () => {},
};
