/**
 * The fields of Engine.IO's long-polling that a move needs: which requests of a session are underway, what waits for
 * the next poll, and an upgrade that has begun. With the other `private-fields` files the one place of the package for
 * private fields; `private-fields-moves.test.ts` fails when one moves. Tried with engine.io 6.6.
 * Owns: what it has seen of upgrades; it forgets with the connections. Runs in: workers.
 */
import type { Server } from "socket.io";
import type { Connection } from "./private-fields.js";

interface Transport {
  close(): void;
}

interface EnginePacket {
  readonly type: string;
  readonly data?: string | Uint8Array;
  readonly options?: { readonly compress?: boolean };
}

interface PollingTransport extends Transport {
  /** A poll waits. */
  readonly writable: boolean;
  /** Of a poll that waits or is being answered. */
  readonly req?: object | null;
  /** Of a request with data that is being read. */
  readonly dataReq?: object | null;
  send(packets: { readonly type: "noop" }[]): void;
  discard(): void;
}

interface ConnectionFields {
  readonly transport: PollingTransport;
  readonly upgrading: boolean;
  writeBuffer: EnginePacket[];
  _maybeUpgrade?(transport: Transport): void;
  on(event: "upgrading", listener: () => void): void;
}

interface EngineFields {
  on(event: "connection", listener: (connection: Connection) => void): void;
}

/** A packet that waits for the next poll. */
export interface UnsentPacket {
  readonly type: string;
  readonly data: string | Uint8Array | undefined;
  readonly compress: boolean;
}

/**
 * A WebSocket to which a session may be upgraded.
 *
 * begun → answered (the client has heard that the WebSocket works, and stops polling); begun → dropped
 */
interface Probe {
  state: "begun" | "answered" | "dropped";
  readonly transport: Transport;
  readonly since: number;
}

/** How long an upgrade may take until it is dropped: most are done after two round trips. */
const PROBE_MS = 500;

const fieldsOf = (connection: Connection) => connection as unknown as ConnectionFields;
const probes = new WeakMap<Connection, Probe>();

/** Remembers the upgrades of the sessions to come. */
export function watchProbes(io: Server): void {
  const engine = io.engine as unknown as EngineFields | undefined;
  engine?.on("connection", watch);
}

function watch(connection: Connection): void {
  const fields = fieldsOf(connection);
  const { _maybeUpgrade: upgrade } = fields;
  if (!upgrade) return;
  fields._maybeUpgrade = (transport) => {
    probes.set(connection, { state: "begun", transport, since: performance.now() });
    upgrade.call(connection, transport);
  };
  fields.on("upgrading", () => {
    const probe = probes.get(connection);
    if (probe) probe.state = "answered";
  });
}

/**
 * Whether no upgrade is underway. One whose client has not heard of the WebSocket yet is dropped when it takes too long:
 * the client stays with polling. One that has heard has stopped polling; it would never begin again.
 */
export function isWithoutProbe(connection: Connection): boolean {
  if (!fieldsOf(connection).upgrading) return true;
  const probe = probes.get(connection);
  if (!probe || probe.state === "answered") return false;
  if (probe.state === "begun") {
    if (performance.now() - probe.since < PROBE_MS) return false;
    probe.state = "dropped";
    // From here on nothing is sent over it.
    probe.transport.close();
  }
  return true;
}

/** Whether no request is being read or answered. A poll may wait. */
export function isIdle(connection: Connection): boolean {
  const { req, dataReq, writable } = fieldsOf(connection).transport;
  return !dataReq && (writable || !req);
}

/** Takes out what waits for the next poll. */
export function takeUnsent(connection: Connection): UnsentPacket[] {
  const fields = fieldsOf(connection);
  const packets = fields.writeBuffer;
  fields.writeBuffer = [];
  return packets.map(({ type, data, options }) => ({ type, data, compress: options?.compress === true }));
}

/** Lets packets wait for the next poll. */
export function putUnsent(connection: Connection, packets: readonly UnsentPacket[]): void {
  const { writeBuffer } = fieldsOf(connection);
  for (const { type, data, compress } of packets) {
    writeBuffer.push(
      data === undefined ? { type, options: { compress } } : { type, data, options: { compress } },
    );
  }
}

/** Answers the poll that waits with nothing, so that the client polls again; no poll is waited for any more. */
export function endPolls(connection: Connection): void {
  const { transport } = fieldsOf(connection);
  if (transport.writable) transport.send([{ type: "noop" }]);
  transport.discard();
}
