/**
 * Who may ask the admin server for what.
 * Owns: nothing; pure but for the key of its comparisons. Runs in: primary.
 *
 * A page of somebody else's in a browser on this machine can send requests to the loopback interface. It cannot set
 * `Authorization` or `Content-Type: application/json` without asking first, which nobody answers here; and a name of its
 * own that leads to the loopback interface (DNS rebinding) is not in `Host`, which is checked where there is no token.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";

/** Secrets of different lengths are compared by their hashes, in the same time whatever they are. */
const KEY = randomBytes(32);
const digest = (text: string) => createHmac("sha256", KEY).update(text).digest();

/** What is wrong with a request; `undefined` if nothing is. */
export interface Objection {
  readonly status: 401 | 403 | 421;
  readonly message: string;
}

export class Gate {
  readonly #token: Buffer | undefined;
  readonly #isPublic: boolean;

  /**
   * @param token without which nothing can be ordered, nor seen from other hosts
   * @param isPublic whether the server listens elsewhere than on the loopback interface
   */
  constructor(token: string | undefined, isPublic: boolean) {
    this.#token = token === undefined ? undefined : digest(token);
    this.#isPublic = isPublic;
  }

  /** Whether orders are taken at all. */
  get takesOrders(): boolean {
    return this.#token !== undefined;
  }

  /** For figures: where only this machine can ask, they are free. */
  objectToReading(request: IncomingMessage): Objection | undefined {
    return this.#isPublic ? this.#objectToToken(request) : objectToHost(request);
  }

  /** For orders: always with the token. */
  objectToOrder(request: IncomingMessage): Objection | undefined {
    if (!this.#token) {
      return {
        status: 403,
        message: "Orders are not taken: startCluster({ admin: { token } }) was given no token.",
      };
    }
    return (this.#isPublic ? undefined : objectToHost(request)) ?? this.#objectToToken(request);
  }

  #objectToToken({ headers }: IncomingMessage): Objection | undefined {
    const given = /^Bearer ([\x21-\x7e]{1,1024})$/i.exec(headers.authorization ?? "")?.[1];
    if (given !== undefined && this.#token && timingSafeEqual(digest(given), this.#token)) return undefined;
    return {
      status: 401,
      message: given === undefined ? "This wants a token: Authorization: Bearer …" : "This is not the token.",
    };
  }
}

/** Another name for this machine is somebody else's. */
function objectToHost({ headers }: IncomingMessage): Objection | undefined {
  const host = (headers.host ?? "").replace(/:\d*$/, "").toLowerCase();
  const address = host.startsWith("[") ? host.slice(1, -1) : host;
  if (isIP(address) !== 0 || address === "localhost" || address.endsWith(".localhost")) return undefined;
  return { status: 421, message: "Ask by address or as localhost, or set a token and another host." };
}
