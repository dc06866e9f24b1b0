/** Sessions that a worker that retires can only close. Runs in: workers. */
import type { MovableSession } from "../moves.js";

export function unmovable(id: string, obstacle: string, close: () => void, cut: () => void): MovableSession {
  return {
    ...{ id, obstacle, close, cut },
    socket: undefined,
    depart: () => Promise.resolve(undefined),
    onLeft: () => {},
    onLost: () => {},
  };
}
