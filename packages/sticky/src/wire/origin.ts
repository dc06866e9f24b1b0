/**
 * What a worker tells the owner of a session about the connection that a relayed request came on.
 * Owns: the format, the payload of an `open` frame; pure. Runs in: workers.
 */
import { MAX_PAYLOAD_BYTES } from "./link-frame.js";
import { countOf } from "./messages.js";

/** One end of a connection; `undefined` in place of it on a Unix socket. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  readonly family: string;
}

/** What an application may ask a client's TLS connection for. */
export interface TlsOrigin {
  readonly authorized: boolean;
  readonly authorizationError: string | undefined;
  readonly alpnProtocol: string | undefined;
  readonly servername: string | undefined;
  /** Version of TLS. */
  readonly protocol: string | undefined;
  readonly cipher: { readonly name: string; readonly standardName: string; readonly version: string };
  readonly isSessionReused: boolean;
  /** The client's certificate and those of its issuers, in DER as base64. */
  readonly certificates: readonly string[];
}

/** Where a relayed request came from, and for which server. */
export interface Origin {
  readonly name: string;
  readonly remote: Endpoint | undefined;
  readonly local: Endpoint | undefined;
  /** `undefined` if the client's connection is not encrypted. */
  readonly tls: TlsOrigin | undefined;
  /** How many workers have passed it on before. */
  readonly passes: number;
}

/** At most {@link MAX_PAYLOAD_BYTES}: the certificates of issuers stay behind if there is no room for them. */
export function encodeOrigin(origin: Origin): Buffer {
  for (let certificates = origin.tls?.certificates ?? []; ; certificates = certificates.slice(0, -1)) {
    const tls = origin.tls && { ...origin.tls, certificates };
    const payload = Buffer.from(JSON.stringify({ ...origin, tls }));
    if (payload.length <= MAX_PAYLOAD_BYTES || certificates.length === 0) return payload;
  }
}

/** Reads what {@link encodeOrigin} has written; `undefined` if it is something else. Never throws. */
export function decodeOrigin(payload: Buffer): Origin | undefined {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString());
  } catch {
    return undefined;
  }
  if (!isRecord(value) || typeof value.name !== "string") return undefined;
  const { name, passes } = value;
  return {
    name,
    remote: endpointOf(value.remote),
    local: endpointOf(value.local),
    tls: tlsOf(value.tls),
    passes: countOf(passes),
  };
}

function endpointOf(value: unknown): Endpoint | undefined {
  if (!isRecord(value)) return undefined;
  const { address, port, family } = value;
  const isEndpoint = typeof address === "string" && typeof port === "number" && typeof family === "string";
  return isEndpoint ? { address, port, family } : undefined;
}

function tlsOf(value: unknown): TlsOrigin | undefined {
  if (!isRecord(value)) return undefined;
  const cipher = isRecord(value.cipher) ? value.cipher : {};
  const certificates = Array.isArray(value.certificates) ? value.certificates : [];
  return {
    authorized: value.authorized === true,
    authorizationError: textOf(value.authorizationError),
    alpnProtocol: textOf(value.alpnProtocol),
    servername: textOf(value.servername),
    protocol: textOf(value.protocol),
    cipher: {
      name: textOf(cipher.name) ?? "",
      standardName: textOf(cipher.standardName) ?? "",
      version: textOf(cipher.version) ?? "",
    },
    isSessionReused: value.isSessionReused === true,
    certificates: certificates.filter((each) => typeof each === "string"),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
