/**
 * Those who have connected to the host port and have not finished their TLS handshake yet.
 * Owns: their connections until then. Runs in: primary.
 *
 * Whose certificate is not trusted is let through with the reason, so that he can be told.
 */
import type { Socket } from "node:net";
import {
  checkServerIdentity,
  createServer,
  type SecureContextOptions,
  type TLSSocket,
  type Server as TlsServer,
} from "node:tls";
import { MIN_TLS_VERSION } from "../hosts/host-tls.js";
import type { HostCredentials } from "../wire/host-credentials.js";

export interface HostHandshakesEvents {
  /** @param mistrust why the certificate is not trusted; `undefined` if it is */
  onSecure(socket: TLSSocket, mistrust: string | undefined): void;
  /** There is no connection any more. */
  onFailed(address: string | undefined, why: string): void;
}

interface Handshake {
  readonly socket: Socket;
  readonly deadline: NodeJS.Timeout;
}

export class HostHandshakes {
  readonly #server: TlsServer;
  readonly #max: number;
  readonly #timeoutMs: number;
  readonly #events: HostHandshakesEvents;
  /** What certificates of others have to be for, if that can be asked for. */
  #servername: string | undefined;
  /** By address and port of the other side; the oldest first. */
  readonly #pending = new Map<string, Handshake>();

  /**
   * @param max how many there may be at a time: for each one more, the oldest is closed
   * @param timeoutMs how long one may take, whatever comes meanwhile
   */
  constructor(credentials: HostCredentials, max: number, timeoutMs: number, events: HostHandshakesEvents) {
    this.#max = max;
    this.#timeoutMs = timeoutMs;
    this.#events = events;
    this.#servername = credentials.servername;
    this.#server = createServer({
      ...contextOf(credentials),
      requestCert: true,
      rejectUnauthorized: false,
      allowHalfOpen: true,
    });
    this.#server.on("secureConnection", (socket) => {
      this.#forget(placeOf(socket));
      events.onSecure(socket, mistrustOf(socket, this.#servername));
    });
    this.#server.on("tlsClientError", ({ message }, { remoteAddress }) => {
      events.onFailed(remoteAddress, `the TLS handshake failed: ${message.trim()}`);
    });
  }

  /** Handshakes that begin from now on are with these. */
  renew(credentials: HostCredentials): void {
    this.#servername = credentials.servername;
    this.#server.setSecureContext(contextOf(credentials));
  }

  add(socket: Socket): void {
    // Reset before it was taken: half-open as it may be, the server would not notice, and nobody could tell it from others.
    if (socket.remoteAddress === undefined) {
      socket.destroy();
      return this.#events.onFailed(undefined, "it was reset");
    }
    const [oldest] = this.#pending.values();
    if (this.#pending.size >= this.#max) oldest?.socket.destroy();
    const place = placeOf(socket);
    // The server's own timeout begins anew with each byte, and closes nothing.
    const deadline = setTimeout(() => socket.destroy(), this.#timeoutMs).unref();
    this.#pending.set(place, { socket, deadline });
    socket
      .on("error", () => {})
      .once("close", () => {
        if (this.#pending.get(place)?.socket === socket) this.#forget(place);
        clearTimeout(deadline);
      });
    this.#server.emit("connection", socket);
  }

  close(): void {
    for (const { socket } of [...this.#pending.values()]) socket.destroy();
  }

  #forget(place: string): void {
    clearTimeout(this.#pending.get(place)?.deadline);
    this.#pending.delete(place);
  }
}

function contextOf({ key, cert, ca, passphrase }: HostCredentials): SecureContextOptions {
  return { key, cert, ca: [...ca], passphrase, minVersion: MIN_TLS_VERSION };
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
