/**
 * What a host shows the others, and asks of them, where they speak TLS: as texts, so that workers can be told. Types only.
 * Runs in: primary and workers.
 */

/** All in PEM. */
export interface HostCredentials {
  readonly key: string;
  readonly cert: string;
  readonly ca: readonly string[];
  readonly passphrase: string | undefined;
  /** What the certificates of all hosts are for; `undefined`: each for its host's address. */
  readonly servername: string | undefined;
}
