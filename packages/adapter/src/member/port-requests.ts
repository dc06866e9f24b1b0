/**
 * What one namespace asks of its siblings in other workers, and of the hub.
 * Owns: the hub's last word on the number of servers. Runs in: workers; in the primary for its emitters.
 */
import type { BroadcastFlags, Room } from "socket.io-adapter";
import type { HoldfastError } from "../errors.js";
import type { Outbox } from "../link/outbox.js";
import type { HubStats } from "../stats.js";
import { FrameKind, Operation } from "../wire/frame.js";
import { staysHere } from "../wire/names.js";
import type {
  FrameBody,
  OperationCode,
  PortHost,
  RequestCall,
  Selection,
  WritablePacket,
} from "./port-contract.js";
import { flagBits } from "./port-frames.js";

/** The namespace's port, as its requests need it. */
export interface RequestWay {
  begin(kind: number, flags: number, rooms: Set<Room> | undefined): Outbox | undefined;
  /** Runs `send` when the hub knows the namespace. @param frame what it will write takes so many bytes */
  whenOpen(send: () => void, frame?: { readonly bytes: number }): void;
  /** @throws {HoldfastError} `HOLDFAST_ERR_BACKLOG_FULL` */
  checkRoom(): void;
  /** Why nothing can be sent. */
  whyAlone(): HoldfastError;
}

interface RequestFrame {
  readonly operation: OperationCode;
  readonly flags: number;
  readonly rooms: Set<Room> | undefined;
  readonly body: FrameBody;
}

export class PortRequests {
  readonly #member: PortHost;
  readonly #owner: object;
  readonly #way: RequestWay;
  #servers = 1;
  /** The answer to every `serverCount()` of this turn. */
  #counting: Promise<number> | undefined;

  /** @param owner in whose name requests are made: they end with it */
  constructor(member: PortHost, owner: object, way: RequestWay) {
    this.#member = member;
    this.#owner = owner;
    this.#way = way;
  }

  /**
   * Asks the other workers.
   * @param rooms whose workers; undefined for every server of the namespace
   * @param body what the operation needs
   * @throws {HoldfastError} `HOLDFAST_ERR_BACKLOG_FULL`, `HOLDFAST_ERR_MESSAGE_TOO_LARGE`; if it is too late for that,
   *   the call is settled with it
   */
  ask(operation: OperationCode, rooms: Set<Room> | undefined, body: FrameBody, call: RequestCall): void {
    this.#send({ operation, flags: 0, rooms, body }, call);
  }

  /** Asks for what the other workers have: the question waits until there is room for the answers. */
  query(operation: OperationCode, rooms: Set<Room> | undefined, body: FrameBody, call: RequestCall): void {
    const { requests } = this.#member;
    this.#send({ operation, flags: 0, rooms, body }, call, (id, send) => requests.enqueue(id, send));
  }

  /** Broadcasts and asks for the clients' acknowledgements. */
  broadcastWithAck(
    packet: WritablePacket,
    { rooms, except }: Selection,
    broadcastFlags: BroadcastFlags,
    call: RequestCall,
  ): void {
    const { bytes } = packet;
    const write = (outbox: Outbox) => {
      outbox.u32(call.timeoutMs);
      outbox.names(rooms);
      outbox.names(except);
      packet.write(outbox);
    };
    const operation = Operation.broadcastWithAck;
    this.#send({ operation, flags: flagBits(broadcastFlags), rooms, body: { bytes, write } }, call);
  }

  /**
   * How many workers have this namespace; 1 while there is no hub. A hub that does not answer in time is taken at
   * its last word. Calls within a turn get the same answer.
   * Never rejects: Socket.IO's broadcast with acknowledgement does not handle it.
   */
  serverCount(timeoutMs: number): Promise<number> {
    if (!this.#counting) {
      this.#counting = new Promise((resolve) => {
        this.#askHub(FrameKind.count, {
          timeoutMs,
          onResponse: (value) => {
            this.#servers = value as number;
          },
          onSettled: () => resolve(this.#servers),
        });
      });
      queueMicrotask(() => {
        this.#counting = undefined;
      });
    }
    return this.#counting;
  }

  /** What the hub knows, and how its process is. Rejects with the code of a request. */
  hubStats(timeoutMs: number): Promise<HubStats> {
    return new Promise((resolve, reject) => {
      let stats: HubStats | undefined;
      this.#askHub(FrameKind.observe, {
        timeoutMs,
        onResponse: (value) => {
          stats = value as HubStats;
        },
        onSettled: (error) => (stats ? resolve(stats) : reject(error)),
      });
    });
  }

  onUnlinked(): void {
    this.#servers = 1;
  }

  /** @param enqueue calls `send` when it is the request's turn */
  #send(frame: RequestFrame, call: RequestCall, enqueue = atOnce): void {
    if (frame.rooms && staysHere(frame.rooms)) return call.onSettled(undefined);
    this.#way.checkRoom();
    const { requests } = this.#member;
    const id = requests.open(this.#owner, call);
    let hasReturned = false;
    const send = () => {
      // Nobody waits any more for what has become too late.
      if (!requests.sending(id)) return;
      try {
        this.#write(id, frame);
      } catch (error) {
        if (hasReturned) return requests.reject(id, error as HoldfastError);
        requests.forget(id);
        throw error;
      }
    };
    this.#way.whenOpen(() => enqueue(id, send), frame.body);
    hasReturned = true;
  }

  #write(id: number, { operation, flags, rooms, body }: RequestFrame): void {
    const member = this.#member;
    const outbox = this.#way.begin(FrameKind.request, flags, rooms);
    if (!outbox) return member.requests.reject(id, this.#way.whyAlone());
    outbox.u32(member.id);
    outbox.u32(id);
    outbox.u8(operation);
    body.write(outbox);
    member.endFrame();
  }

  /** Asks the hub itself. @param kind of a frame that has nothing but the request's number */
  #askHub(kind: number, call: RequestCall): void {
    const { requests } = this.#member;
    const id = requests.open(this.#owner, call);
    this.#way.whenOpen(() => {
      if (!requests.sending(id)) return;
      const outbox = this.#way.begin(kind, 0, undefined);
      if (!outbox) return requests.reject(id, this.#way.whyAlone());
      outbox.u32(id);
      outbox.end();
    });
  }
}

function atOnce(_id: number, send: () => void): void {
  send();
}
