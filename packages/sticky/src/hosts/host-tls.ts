/**
 * TLS between hosts: what a host shows the others, and what it asks of them.
 * Owns: nothing. Runs in: primary and workers.
 */
import { createSecureContext, type SecureContext } from "node:tls";
import type { HostCredentials } from "../wire/host-credentials.js";

/** For calls of other hosts. */
export interface HostTls {
  readonly context: SecureContext;
  readonly servername: string | undefined;
}

/** All hosts run this package, so nothing older is needed. */
export const MIN_TLS_VERSION = "TLSv1.3";

/** @throws {Error} if the key is not that of the certificate, or cannot be read */
export function hostTls({ key, cert, ca, passphrase, servername }: HostCredentials): HostTls {
  const context = createSecureContext({ key, cert, ca: [...ca], passphrase, minVersion: MIN_TLS_VERSION });
  return { context, servername };
}
