/**
 * Clients that come back with their sessions: each remembers its private id and the offset of the last event.
 * Runs in: load generators.
 */
import type { Commands } from "@holdfast/harness";
import { SequenceCheck, sequenceOf } from "../scenarios/sequence.js";
import { WsClient } from "./ws-wire.js";

export interface Returns {
  /** Clients that got their own session. */
  readonly recovered: number;
  /** Events that were not the next one, over all clients. */
  readonly wrong: number;
}

const PATIENCE_MS = 30_000;
const AT_ONCE = 200;
const PRIVATE_ID = /"pid":"([^"]+)"/;
const OFFSET = /"([^"]+)"\]$/;

class Returner {
  privateId = "";
  offset = "";
  recovered = 0;
  readonly check = new SequenceCheck();
  #client: WsClient | undefined;
  #onEvent = () => {};

  /** Connects, with the session that it has, if any; settles when it is answered. */
  async connect(port: number): Promise<void> {
    await this.#within("answer to its CONNECT", (resolve, reject) => {
      const auth = this.offset && JSON.stringify({ pid: this.privateId, offset: this.offset });
      const events = {
        connected: (_: WsClient, data: Buffer, start: number) => {
          this.#onConnect(data.toString("latin1", start));
          resolve();
        },
        event: (data: Buffer, start: number) => this.#onPacket(data, start),
        closed: (_: WsClient, reason: string) => reject(new Error(reason)),
      };
      this.#client = new WsClient(port, events, undefined, `40${auth}`);
    });
  }

  leave(): void {
    this.#client?.close();
  }

  /** Waits until it has got this event. */
  async has(sequence: number): Promise<void> {
    if (this.check.last >= sequence) return;
    await this.#within(`event ${sequence} after ${this.check.last}`, (resolve) => {
      this.#onEvent = () => this.check.last >= sequence && resolve();
    });
  }

  #onConnect(packet: string): void {
    const privateId = PRIVATE_ID.exec(packet)?.[1] ?? "";
    if (privateId === this.privateId) this.recovered++;
    this.privateId = privateId;
  }

  #onPacket(data: Buffer, start: number): void {
    const sequence = sequenceOf(data, start);
    if (sequence < 0) return;
    // Frames follow each other in `data`: the packet ends with the first bracket.
    const end = data.indexOf("]", start) + 1;
    this.offset = OFFSET.exec(data.toString("latin1", start, end))?.[1] ?? "";
    this.check.add(sequence);
    this.#onEvent();
  }

  #within(what: string, work: (resolve: () => void, reject: (error: Error) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${what} within ${PATIENCE_MS} ms`)), PATIENCE_MS);
      const settle = () => {
        clearTimeout(timer);
        resolve();
      };
      work(settle, reject);
    });
  }
}

export function returners(): Commands {
  let clients: Returner[] = [];
  const all = (act: (client: Returner) => Promise<void>) => Promise.all(clients.map(act));
  const report = (): Returns => ({
    recovered: clients.filter(({ recovered }) => recovered > 0).length,
    wrong: clients.reduce((sum, { check }) => sum + check.wrong, 0),
  });
  return {
    /** Connects so many clients for the first time. */
    bringIn: async (port: number, count: number) => {
      clients = Array.from({ length: count }, () => new Returner());
      for (let at = 0; at < count; at += AT_ONCE) {
        await Promise.all(clients.slice(at, at + AT_ONCE).map((client) => client.connect(port)));
      }
    },
    /** Waits until every client has got this event. */
    haveAll: async (sequence: number) => {
      await all((client) => client.has(sequence));
      return report();
    },
    /** All clients come back at once. */
    comeBack: async (port: number) => {
      await all((client) => client.connect(port));
    },
    /**
     * The first client comes back so many times, one after the other, always from the same place.
     * @returns how often it got its session
     */
    comeBackAgain: async (port: number, times: number) => {
      const client = clients[0];
      if (!client) throw new Error("nobody has arrived");
      const { offset, recovered } = client;
      for (let i = 0; i < times; i++) {
        client.leave();
        client.offset = offset;
        await client.connect(port);
      }
      return client.recovered - recovered;
    },
    /** So many clients come for the first time, one after the other, and go. */
    comeAndGo: async (port: number, times: number) => {
      for (let i = 0; i < times; i++) {
        const client = new Returner();
        await client.connect(port);
        client.leave();
      }
    },
  };
}
