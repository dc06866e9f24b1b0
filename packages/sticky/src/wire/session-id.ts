/**
 * The session id of a request target, read exactly as Engine.IO reads it.
 * Owns: nothing; pure. Runs in: primary (router) and workers (forwarder).
 *
 * Engine.IO takes `new URL(target, base).searchParams` and lets the last `sid` win. That costs some
 * microseconds, so targets in which nothing has to be decoded are read by hand.
 */

// A path, of what the URL parser and the form decoder leave as it is. Anything else takes the slow path.
const PLAIN = /^\/(?!\/)[A-Za-z0-9\-._~!$&()*,/:;=?@|{}[\]]*$/;

/** The session id in a request target; `undefined` if there is none or it is empty. */
export function sessionIdOf(target: string): string | undefined {
  const question = target.indexOf("?");
  if (question < 0) return undefined;
  if (!PLAIN.test(target)) return slowSessionIdOf(target);
  const query = target.slice(question + 1);
  // The last pair with the key "sid" wins, even if it is empty. A query of many pairs is read from its end.
  for (let end = query.length; ; ) {
    const start = end === 0 ? 0 : query.lastIndexOf("&", end - 1) + 1;
    if (query.startsWith("sid", start)) {
      if (end === start + 3) return undefined;
      if (query[start + 3] === "=") return query.slice(start + 4, end) || undefined;
    }
    if (start === 0) return undefined;
    end = start - 1;
  }
}

function slowSessionIdOf(target: string): string | undefined {
  try {
    const all = new URL(target, "https://socket.io").searchParams.getAll("sid");
    return all[all.length - 1] || undefined;
  } catch {
    return undefined;
  }
}
