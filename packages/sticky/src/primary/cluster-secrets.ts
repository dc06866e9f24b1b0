/**
 * What the workers of one cluster have in common: the tag in session ids, the directory of the private
 * sockets and the secret that opens them.
 * Owns: the directory, until the process ends. Runs in: primary.
 *
 * They are made once in a process and outlive its routers, as sessions do.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeTag } from "../wire/owner-mark.js";

export interface ClusterSecrets {
  readonly tag: string;
  /** Mode 0700. */
  readonly directory: string;
  readonly secret: string;
}

let secrets: ClusterSecrets | undefined;

/** The secrets of this process's cluster; made at the first call. */
export function clusterSecrets(): ClusterSecrets {
  if (secrets) return secrets;
  const directory = mkdtempSync(join(tmpdir(), "holdfast-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  secrets = { tag: encodeTag(randomBytes(2)), directory, secret: randomBytes(24).toString("base64url") };
  return secrets;
}
