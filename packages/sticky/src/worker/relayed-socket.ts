/**
 * A client's connection to another worker, as the owner's application sees it.
 * Owns: its timer. Runs in: workers, at the owner's end of a link.
 *
 * It answers what applications ask a `net.Socket` or `tls.TLSSocket` for with what the other worker has told of the
 * client's connection. What only the process with the connection could do (keys, renegotiation) it lacks.
 */
import { X509Certificate } from "node:crypto";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { PeerCertificate } from "node:tls";
import { processWide } from "../process-wide.js";
import type { Origin, TlsOrigin } from "../wire/origin.js";
import { LinkStream, type StreamPlace } from "./link-stream.js";

/** A worker may have loaded this package twice: one copy forwards what the other one has made. */
const relayed = processWide("relayed sockets", () => new WeakSet<object>());

export class RelayedSocket extends LinkStream {
  /** What the other worker has told of the client's connection. */
  readonly origin: Origin;
  #timer: NodeJS.Timeout | undefined;
  /** As `net.Socket` has it: milliseconds of silence until "timeout"; 0: none. */
  timeout = 0;
  readonly connecting = false;
  readonly pending = false;

  /** The worker that has the connection ends. */
  isLeaving = false;

  /** Whether both ends know what to do if one of them goes on in another process. */
  canMove = false;

  /** How many workers have passed it on, until it came here. */
  get passes(): number {
    return this.origin.passes + 1;
  }

  /** @param place as for {@link LinkStream} */
  constructor(place: StreamPlace | undefined, origin: Origin) {
    super(place);
    this.origin = origin;
    relayed.add(this);
  }

  /** The worker with the client's connection is the one that has the client wait. */
  override get givesWay(): boolean {
    return true;
  }

  override onLeave(): void {
    this.isLeaving = true;
    this.emit("leaving");
  }

  get remoteAddress(): string | undefined {
    return this.origin.remote?.address;
  }

  get remotePort(): number | undefined {
    return this.origin.remote?.port;
  }

  get remoteFamily(): string | undefined {
    return this.origin.remote?.family;
  }

  get localAddress(): string | undefined {
    return this.origin.local?.address;
  }

  get localPort(): number | undefined {
    return this.origin.local?.port;
  }

  get localFamily(): string | undefined {
    return this.origin.local?.family;
  }

  get bytesRead(): number {
    return this.receivedBytes;
  }

  get bytesWritten(): number {
    return this.sentBytes + this.writableLength;
  }

  get bufferSize(): number {
    return this.writableLength;
  }

  get readyState(): string {
    if (this.readable) return this.writable ? "open" : "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  address(): AddressInfo | object {
    return this.origin.local ?? {};
  }

  setTimeout(ms: number, onTimeout?: () => void): this {
    clearTimeout(this.#timer);
    this.timeout = ms;
    this.#timer = ms > 0 ? setTimeout(() => this.emit("timeout"), ms).unref() : undefined;
    if (onTimeout && ms > 0) this.once("timeout", onTimeout);
    else if (onTimeout) this.off("timeout", onTimeout);
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  resetAndDestroy(): this {
    return this.destroy();
  }

  override onData(bytes: Buffer): void {
    this.#timer?.refresh();
    super.onData(bytes);
  }

  /**
   * As on a client's own connection, the end comes after what came before: the answers that the application gives at once
   * are written by then.
   */
  override onEnd(): void {
    setImmediate(() => super.onEnd());
  }

  /** The client is gone: nobody is left to be answered. */
  override onClosed(why: "reset" | "refused" | "lost", usedByPeerBytes?: number): void {
    super.onClosed(why, usedByPeerBytes);
    this.destroy();
  }

  override _write(chunk: Buffer, encoding: string, done: (error?: Error | null) => void): void {
    this.#timer?.refresh();
    super._write(chunk, encoding, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    super._destroy(error, done);
  }
}

/** The same, of a client that came over TLS. */
export class RelayedTlsSocket extends RelayedSocket {
  readonly encrypted = true;
  readonly #tls: TlsOrigin;

  constructor(place: StreamPlace | undefined, origin: Origin, tls: TlsOrigin) {
    super(place, origin);
    this.#tls = tls;
  }

  get authorized(): boolean {
    return this.#tls.authorized;
  }

  /** A code, as Node.js sets it, whatever its types say. */
  get authorizationError(): string | null {
    return this.#tls.authorizationError ?? null;
  }

  /** What the application's server speaks with a relayed request is HTTP/1.1. */
  get alpnProtocol(): string | false {
    const { alpnProtocol } = this.#tls;
    return alpnProtocol === undefined ? false : "http/1.1";
  }

  get servername(): string | false {
    return this.#tls.servername ?? false;
  }

  getProtocol(): string | null {
    return this.#tls.protocol ?? null;
  }

  getCipher(): TlsOrigin["cipher"] {
    return { ...this.#tls.cipher };
  }

  isSessionReused(): boolean {
    return this.#tls.isSessionReused;
  }

  getPeerX509Certificate(): X509Certificate | undefined {
    const [own] = this.#tls.certificates;
    return own === undefined ? undefined : readCertificate(own);
  }

  getPeerCertificate(detailed = false): PeerCertificate | object {
    const chain: Record<string, unknown>[] = [];
    for (const certificate of detailed ? this.#tls.certificates : this.#tls.certificates.slice(0, 1)) {
      const legacy = readCertificate(certificate)?.toLegacyObject();
      if (!legacy) break;
      chain.push(legacy as unknown as Record<string, unknown>);
    }
    // As Node.js does it: each leads to its issuer, the last one to itself.
    if (detailed) for (const [i, each] of chain.entries()) each.issuerCertificate = chain[i + 1] ?? each;
    return chain[0] ?? {};
  }
}

/** @param place as for {@link LinkStream} */
export function relayedSocket(place: StreamPlace | undefined, origin: Origin): RelayedSocket {
  const { tls } = origin;
  return tls ? new RelayedTlsSocket(place, origin, tls) : new RelayedSocket(place, origin);
}

function readCertificate(base64: string): X509Certificate | undefined {
  try {
    return new X509Certificate(Buffer.from(base64, "base64"));
  } catch {
    return undefined;
  }
}

/** Whether a request came from another worker. */
export function isRelayed(socket: object): boolean {
  return relayed.has(socket);
}

/** How many workers have passed a client's request on, until it came here: none, if the connection is the client's own. */
export function passesOf(socket: object): number {
  return relayed.has(socket) ? (socket as RelayedSocket).passes : 0;
}

/** Calls back when the worker that has the client's connection ends. Returns the function that stops it. */
export function whenLeaving(socket: Duplex, leaving: () => void): () => void {
  // As soon as the request is where it belongs.
  if ((socket as Duplex & { isLeaving?: boolean }).isLeaving === true) setImmediate(leaving);
  socket.once("leaving", leaving);
  return () => void socket.off("leaving", leaving);
}
