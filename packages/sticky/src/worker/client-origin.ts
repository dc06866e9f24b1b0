/**
 * Reads what a client's connection tells of itself, for the owner of the session that a request on it is for.
 * Owns: nothing. Runs in: workers.
 */
import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Endpoint, Origin, TlsOrigin } from "../wire/origin.js";
import { passesOf } from "./relayed-socket.js";

/** No chain of a real client is longer. */
const MAX_CERTIFICATES = 8;

/** @param socket the client's: plain, TLS, or what stands for it in a request of HTTP/2 */
export function originOf(name: string, socket: Socket): Origin {
  return {
    name,
    remote: endpoint(socket.remoteAddress, socket.remotePort, socket.remoteFamily),
    local: endpoint(socket.localAddress, socket.localPort, socket.localFamily),
    tls: (socket as Partial<TLSSocket>).encrypted === true ? tlsOf(socket as TLSSocket) : undefined,
    passes: passesOf(socket),
  };
}

function endpoint(address?: string, port?: number, family?: string): Endpoint | undefined {
  if (address === undefined || address === "") return undefined;
  return { address, port: port ?? 0, family: family ?? (address.includes(":") ? "IPv6" : "IPv4") };
}

/** Not every object that says that it is encrypted is a TLSSocket: what it lacks is left out. */
function tlsOf(socket: Partial<TLSSocket>): TlsOrigin {
  const { name = "", standardName = "", version = "" } = socket.getCipher?.() ?? {};
  return {
    authorized: socket.authorized === true,
    authorizationError: textOf(socket.authorizationError),
    alpnProtocol: textOf(socket.alpnProtocol),
    servername: textOf((socket as { servername?: unknown }).servername),
    protocol: textOf(socket.getProtocol?.()),
    cipher: { name, standardName, version },
    isSessionReused: socket.isSessionReused?.() === true,
    certificates: certificatesOf(socket),
  };
}

function certificatesOf(socket: Partial<TLSSocket>): string[] {
  const certificates: string[] = [];
  let next: X509Certificate | undefined = socket.getPeerX509Certificate?.();
  while (next && certificates.length < MAX_CERTIFICATES) {
    certificates.push(next.raw.toString("base64"));
    const issuer = next.issuerCertificate;
    next = issuer && issuer.fingerprint256 !== next.fingerprint256 ? issuer : undefined;
  }
  return certificates;
}

/** `authorizationError` is a code, whatever the types say; of an error, its code tells as much. */
function textOf(value: unknown): string | undefined {
  if (value instanceof Error) return (value as NodeJS.ErrnoException).code ?? value.message;
  return typeof value === "string" ? value : undefined;
}
