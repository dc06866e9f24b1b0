/**
 * Those who have connected to the host port and have not finished their TLS handshake yet.
 * Owns: their connections until then. Runs in: primary.
 *
 * Whose certificate is not trusted is let through with the reason, so that he can be told.
 */
import type { Socket } from "node:net";
import { checkServerIdentity, createServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { MIN_TLS_VERSION } from "../hosts/host-tls.js";
import type { HostCredentials } from "../wire/host-credentials.js";

export interface HostHandshakesEvents {
  /** @param mistrust why the certificate is not trusted; `undefined` if it is */
  onSecure(socket: TLSSocket, mistrust: string | undefined): void;
  /** There is no connection any more. */
  onFailed(address: string | undefined, why: string): void;
}

export class HostHandshakes {
  readonly #server: TlsServer;
  readonly #max: number;
  /** By address and port of the other side; the oldest first. */
  readonly #pending = new Map<string, Socket>();

  /** @param max how many there may be at a time: for each one more, the oldest is closed */
  constructor(credentials: HostCredentials, max: number, timeoutMs: number, events: HostHandshakesEvents) {
    this.#max = max;
    const { key, cert, ca, passphrase, servername } = credentials;
    this.#server = createServer({
      ...{ key, cert, ca: [...ca], passphrase },
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: MIN_TLS_VERSION,
      allowHalfOpen: true,
      handshakeTimeout: timeoutMs,
    });
    this.#server.on("secureConnection", (socket) => {
      this.#pending.delete(placeOf(socket));
      events.onSecure(socket, mistrustOf(socket, servername));
    });
    this.#server.on("tlsClientError", ({ message }, { remoteAddress }) => {
      events.onFailed(remoteAddress, `the TLS handshake failed: ${message.trim()}`);
    });
  }

  add(socket: Socket): void {
    const [oldest] = this.#pending.values();
    if (this.#pending.size >= this.#max) oldest?.destroy();
    const place = placeOf(socket);
    this.#pending.set(place, socket);
    socket
      .on("error", () => {})
      .once("close", () => {
        if (this.#pending.get(place) === socket) this.#pending.delete(place);
      });
    this.#server.emit("connection", socket);
  }

  close(): void {
    for (const socket of [...this.#pending.values()]) socket.destroy();
  }
}

function placeOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function mistrustOf(socket: TLSSocket, servername: string | undefined): string | undefined {
  if (!socket.authorized) return String(socket.authorizationError);
  // The other host's address is not known for certain: only a name can be asked for.
  const problem =
    servername === undefined ? undefined : checkServerIdentity(servername, socket.getPeerCertificate());
  return problem?.message;
}
