/**
 * What the forwarder tells the owner of a session, in front of the request target:
 *
 *     /<secret>/<name>/<client address>/<client port>/<"tls" or "tcp"><original target>
 *
 * It is in the target and not in header fields, so that no field that a client sends can be mistaken for it.
 * Owns: the format; pure. Runs in: workers.
 */
import { timingSafeEqual } from "node:crypto";
import type { Socket } from "node:net";

/** Where a relayed request came from, and for which server. */
export interface Origin {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly encrypted: boolean;
}

export function originOf(name: string, socket: Socket): Origin {
  return {
    name,
    address: socket.remoteAddress ?? "",
    port: socket.remotePort ?? 0,
    encrypted: (socket as { encrypted?: boolean }).encrypted === true,
  };
}

export function encodeTarget(secret: string, origin: Origin, target: string): string {
  const { name, address, port, encrypted } = origin;
  const from = `${encodeURIComponent(address)}/${port}/${encrypted ? "tls" : "tcp"}`;
  return `/${secret}/${encodeURIComponent(name)}/${from}${target}`;
}

const FORMAT = /^\/([^/]*)\/([^/]*)\/([^/]*)\/(\d{1,5})\/(tls|tcp)(.*)$/s;

/** Reads what {@link encodeTarget} has written; `undefined` if the secret is another. Never throws. */
export function decodeTarget(secret: string, text: string): { origin: Origin; target: string } | undefined {
  const match = FORMAT.exec(text);
  if (!match) return undefined;
  const [, given = "", name = "", address = "", port = "", transport, target = ""] = match;
  if (!isSecret(secret, given)) return undefined;
  try {
    const origin: Origin = {
      name: decodeURIComponent(name),
      address: decodeURIComponent(address),
      port: Number(port),
      encrypted: transport === "tls",
    };
    return { origin, target };
  } catch {
    return undefined;
  }
}

function isSecret(secret: string, given: string): boolean {
  const a = Buffer.from(secret);
  const b = Buffer.from(given);
  return a.length === b.length && timingSafeEqual(a, b);
}
