/**
 * How a host is reached by the workers of others: what a router publishes of itself.
 * Owns: the format; pure. Runs in: primary and workers.
 *
 *     Ab3-xY 10.0.0.2:7000     the tag in its session ids, address and port of its host port
 *     Ab3-xY [fd00::2]:7000
 *     Ab3-xY 10.0.0.2:7000 tls     the same, where the hosts speak TLS
 */
import { isTag } from "./owner-mark.js";

export interface HostAddress {
  /** Stands in front of the ids of its sessions. */
  readonly tag: string;
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

const PATTERN = /^(\S+) (?:\[([0-9A-Fa-f:.]{2,45}(?:%[\w.-]{1,32})?)\]|([\w.-]{1,253})):(\d{1,5})( tls)?$/;
const MAX_PORT = 65_535;

export function encodeHostAddress({ tag, host, port, isTls }: HostAddress): string {
  return `${tag} ${host.includes(":") ? `[${host}]` : host}:${port}${isTls ? " tls" : ""}`;
}

/** `undefined` if it is none, or of another version of this package. */
export function decodeHostAddress(text: string): HostAddress | undefined {
  const [, tag = "", ipv6, name = "", digits = "", tls] = PATTERN.exec(text) ?? [];
  const port = Number(digits);
  if (!isTag(tag) || port < 1 || port > MAX_PORT) return undefined;
  return { tag, host: ipv6 ?? name, port, isTls: tls !== undefined };
}
