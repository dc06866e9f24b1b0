/**
 * Frames that other hosts have sent, on their way to members here. Ids in them are translated: those of namespaces and
 * members are a hub's own.
 * Owns: the number of a claim between its announcement and its command. Runs in: where the hub is.
 */
import { brokenMessage } from "../wire/field-reader.js";
import { BroadcastFlag, FrameKind, frameFields, frameFlags, frameKind, ResponseFlag } from "../wire/frame.js";
import { checkPlace, claimsOf, fieldsOf } from "./frame-fields.js";
import { numbersFrame } from "./host-frames.js";
import type { Hosts } from "./hosts.js";
import type { HubMember } from "./hub-member.js";
import type { HubNamespace } from "./namespaces.js";
import type { RemoteHost } from "./remote-host.js";

const NAMESPACE_AT = 8;
const U32_BYTES = 4;

export interface RemoteFramesEvents {
  /** The members here that the frame's keys lead to. Valid until the next call. */
  collect(buffer: Buffer, start: number): readonly HubMember[];
  member(id: number): HubMember | undefined;
  isCongested(member: HubMember): boolean;
  /** Another host wants a session. @param onReleased it is free, or was not here */
  onFence(name: string, namespace: HubNamespace | undefined, privateId: string, onReleased: () => void): void;
  /** A session that was asked for is free. */
  onReleased(number: number): void;
}

export class RemoteFrames {
  readonly #hosts: Hosts;
  readonly #events: RemoteFramesEvents;
  /** By host. */
  readonly #announced = new Map<RemoteHost, number>();

  constructor(hosts: Hosts, events: RemoteFramesEvents) {
    this.#hosts = hosts;
    this.#events = events;
  }

  forget(host: RemoteHost): void {
    this.#announced.delete(host);
  }

  /** @throws {HoldfastError} `HOLDFAST_ERR_BROKEN_MESSAGE` */
  onFrame(
    host: RemoteHost,
    name: string,
    namespace: HubNamespace | undefined,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (frameFields(buffer, start) > end) throw brokenMessage("it ends within its keys");
    if (namespace) buffer.writeUInt32LE(namespace.id, start + NAMESPACE_AT);
    switch (frameKind(buffer, start)) {
      case FrameKind.broadcast:
        return namespace && this.#onBroadcast(buffer, start, end);
      case FrameKind.command:
        return this.#onCommand(host, name, namespace, buffer, start, end);
      case FrameKind.request:
        return this.#onRequest(host, name, namespace, buffer, start, end);
      case FrameKind.response:
        return namespace && this.#onResponse(host, buffer, start, end);
      case FrameKind.hostAsked:
        return namespace && this.#onAsked(host, namespace, buffer, start, end);
      case FrameKind.hostClaim:
        return void this.#announced.set(host, fieldsOf(buffer, start, end).u32());
      case FrameKind.hostSettled:
        return this.#hosts.onSettled(host, fieldsOf(buffer, start, end).u32());
      case FrameKind.hostFence:
        return this.#onFence(host, name, namespace, buffer, start, end);
      case FrameKind.hostReleased:
        return this.#events.onReleased(fieldsOf(buffer, start, end).u32());
      default:
        throw brokenMessage(`its kind is ${frameKind(buffer, start)}, which no host sends`);
    }
  }

  /** Makes a recoverable packet of another host one that members here understand. */
  translateRecord(
    host: RemoteHost | undefined,
    namespace: HubNamespace,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    checkPlace(buffer, start, end);
    buffer.writeUInt32LE(namespace.id, start + NAMESPACE_AT);
    const at = frameFields(buffer, start) + U32_BYTES;
    const sender = fieldsOf(buffer, start, end).skip(U32_BYTES).u32();
    // Of a host that is gone nobody will hear.
    buffer.writeUInt32LE(host ? host.idOf(sender) : 0, at);
  }

  #onBroadcast(buffer: Buffer, start: number, end: number): void {
    const isVolatile = (frameFlags(buffer, start) & BroadcastFlag.volatile) !== 0;
    for (const target of this.#events.collect(buffer, start)) {
      if (isVolatile && this.#events.isCongested(target)) target.dropped++;
      else target.deliverQuietly(buffer, start, end);
    }
  }

  #onCommand(
    host: RemoteHost,
    name: string,
    namespace: HubNamespace | undefined,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const claims = claimsOf(namespace?.keys, buffer, start, end);
    const number = this.#announced.get(host);
    this.#announced.delete(host);
    const targets = namespace ? this.#events.collect(buffer, start) : [];
    let waiting = 1;
    const onSettled = () => {
      if (--waiting > 0 || number === undefined) return;
      // What changed by it must be known before the other host takes its claim back.
      this.#hosts.whenInEffect(() =>
        this.#hosts.sendTo(host.name, name, numbersFrame(FrameKind.hostSettled, [number])),
      );
    };
    for (const target of targets) {
      if (claims.length > 0) {
        waiting++;
        target.claim(namespace?.id ?? 0, claims, onSettled);
      }
      target.outbox.relay(buffer, start, end);
    }
    onSettled();
  }

  #onRequest(
    host: RemoteHost,
    name: string,
    namespace: HubNamespace | undefined,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const fields = fieldsOf(buffer, start, end);
    const [asker, request] = [fields.u32(), fields.u32()];
    const targets = namespace ? this.#events.collect(buffer, start) : [];
    const asked = targets.flatMap(({ id, workerId, pid }) => [id, workerId, pid]);
    this.#hosts.sendTo(host.name, name, numbersFrame(FrameKind.hostAsked, [asker, request, ...asked]));
    buffer.writeUInt32LE(host.idOf(asker), frameFields(buffer, start));
    for (const target of targets) {
      target.unanswered++;
      target.outbox.relay(buffer, start, end);
    }
  }

  #onResponse(host: RemoteHost, buffer: Buffer, start: number, end: number): void {
    const fields = fieldsOf(buffer, start, end);
    const asker = this.#events.member(fields.u32());
    fields.u32();
    const id = host.idOf(fields.u32());
    buffer.writeUInt32LE(id, frameFields(buffer, start) + 2 * U32_BYTES);
    asker?.outbox.relay(buffer, start, end);
  }

  /** The host has passed a request on: now its members are asked, instead of the host. */
  #onAsked(host: RemoteHost, { id }: HubNamespace, buffer: Buffer, start: number, end: number): void {
    const fields = fieldsOf(buffer, start, end);
    const [asker, request] = [this.#events.member(fields.u32()), fields.u32()];
    if (!asker) return;
    const { outbox } = asker;
    outbox.begin(FrameKind.asked, 0, id);
    outbox.u32(request);
    while (!fields.done) {
      outbox.u32(host.idOf(fields.u32()));
      outbox.u32(fields.u32());
      outbox.u32(fields.u32());
    }
    outbox.end();
    outbox.begin(FrameKind.response, ResponseFlag.final, id);
    for (const number of [asker.id, request, host.id]) outbox.u32(number);
    outbox.end();
  }

  #onFence(
    host: RemoteHost,
    name: string,
    namespace: HubNamespace | undefined,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const fields = fieldsOf(buffer, start, end);
    const [number, privateId] = [fields.u32(), fields.text()];
    this.#events.onFence(name, namespace, privateId, () => {
      this.#hosts.sendTo(host.name, name, numbersFrame(FrameKind.hostReleased, [number]));
    });
  }
}
