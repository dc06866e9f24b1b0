/**
 * Puts this worker's mark in front of the session ids that an Engine.IO server generates.
 * Owns: the `generateId` property of the engine, until undone. Runs in: workers.
 */
import type { Server } from "socket.io";

export type Engine = Server["engine"];
type GenerateId = Engine["generateId"];
type Mark = string | undefined;

/**
 * Wraps the engine's id generator: its own, or the user's, set before or later, synchronous or not.
 * @param mark gives this worker's mark, as a promise while it is being found out; `undefined` if it has none, and
 *   then ids stay as they are
 * @returns the function that undoes it
 */
export function markSessionIds(engine: Engine, mark: () => Mark | Promise<Mark>): () => void {
  const before = Object.getOwnPropertyDescriptor(engine, "generateId");
  let generate: GenerateId = engine.generateId;
  const marked: GenerateId = (request) => {
    const id = generate.call(engine, request);
    const front = mark();
    if (typeof id === "string" && !(front instanceof Promise)) return (front ?? "") + id;
    return Promise.all([front, id]).then(([known, value]) => (known ?? "") + value);
  };
  Object.defineProperty(engine, "generateId", {
    configurable: true,
    enumerable: true,
    get: () => marked,
    set: (replacement: GenerateId) => {
      generate = replacement;
    },
  });
  return () => {
    Reflect.deleteProperty(engine, "generateId");
    if (before || generate !== engine.generateId) {
      Object.defineProperty(engine, "generateId", {
        configurable: true,
        enumerable: true,
        writable: true,
        value: generate,
      });
    }
  };
}
