/**
 * Names of hosts: what the system calls the machine, for people, and a part that no other host ever has.
 * Pure but for chance. Runs in: where the hub is.
 */
import { randomBytes } from "node:crypto";

const RANDOM_BYTES = 12;
/** As long as the names of machines may be. */
const MAX_LENGTH = 64;

/** @param hostname what the system calls the machine */
export function drawHostName(hostname: string): string {
  const readable = hostname.replace(/[^\w.-]/g, "").slice(0, MAX_LENGTH);
  return `${readable}.${randomBytes(RANDOM_BYTES).toString("base64url")}`;
}

/** What the host's system calls it. */
export function hostnameOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf(".")));
}
