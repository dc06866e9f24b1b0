/** Nothing a client sends is taken as it comes. Runs in: workers. */
import { report } from "./problems.js";

/** Something the person at the page should read. */
export class RequestError extends Error {}

/** One line of text between 1 and `max` characters, without control characters. */
export function readLine(value, { what, max }) {
  if (typeof value !== "string") throw new RequestError(`The ${what} is missing.`);
  const line = value.replace(/\p{C}|\p{Zl}|\p{Zp}/gu, (c) => (KEPT.has(c) ? c : " ")).trim();
  if (line === "") throw new RequestError(`The ${what} is empty.`);
  if (line.length > max) throw new RequestError(`The ${what} is longer than ${max} characters.`);
  return line;
}

/** Zero-width joiner: it is part of many emoji. */
const KEPT = new Set(["\u200d"]);

/**
 * Listens for an event of a client and answers it: `{ ...result }`, or `{ error }` when `handle` throws.
 * A client that sends no callback, or nonsense, can't bring the worker down.
 */
export function answering(socket, event, handle) {
  socket.on(event, async (...args) => {
    const answer = typeof args.at(-1) === "function" ? args.pop() : () => {};
    try {
      answer({ ...(await handle(args[0] ?? {})) });
    } catch (error) {
      if (!(error instanceof RequestError)) report(`"${event}" failed`, error);
      answer({ error: error instanceof RequestError ? error.message : "That did not work." });
    }
  });
}
