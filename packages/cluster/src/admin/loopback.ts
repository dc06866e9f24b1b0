/** Addresses that only this machine can reach. Runs in: primary. */
import { isIP } from "node:net";

export function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}
