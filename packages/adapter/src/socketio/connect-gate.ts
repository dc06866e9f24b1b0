/**
 * A client hears that it is connected when the hub knows where it is, not before: whoever learns its id from
 * it reaches it, from any worker.
 * Owns: the connections whose packets wait for the hub's word. Runs in: workers.
 *
 * Everything else for the connection waits behind CONNECT, so nothing overtakes it.
 */
import type { Connection } from "./private-fields.js";
import { gateConnection } from "./private-fields.js";

interface Gate {
  /** Namespaces of this connection that the hub has still to hear of. */
  waiting: number;
  readonly open: () => void;
}

const gates = new WeakMap<Connection, Gate>();

/** Call before CONNECT is written; what is written from now on leaves when one of the two settles. */
export function holdUntil(known: Promise<unknown>, orSilent: Promise<unknown>, connection: Connection): void {
  const gate = gates.get(connection) ?? { waiting: 0, open: gateConnection(connection) };
  gates.set(connection, gate);
  gate.waiting++;
  let isOver = false;
  const goOn = () => {
    if (isOver) return;
    isOver = true;
    if (--gate.waiting > 0) return;
    gates.delete(connection);
    gate.open();
  };
  // Not behind each other: whatever else waits for `known` must not be faster.
  void known.then(goOn);
  void orSilent.then(goOn);
}
