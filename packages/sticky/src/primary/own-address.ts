/** Which address of this machine others may reach. Pure but for the look at the interfaces. Runs in: primary. */
import { networkInterfaces } from "node:os";

const LOOPBACK = "127.0.0.1";

/** The first address that is not of this machine alone, IPv4 before IPv6; without one, the loopback's. */
export function ownAddress(interfaces = networkInterfaces()): string {
  const addresses = Object.values(interfaces).flatMap((each) => each ?? []);
  const outside = addresses.filter(({ internal, scopeid }) => !internal && !scopeid);
  const best = outside.find(({ family }) => family === "IPv4") ?? outside[0];
  return best?.address ?? LOOPBACK;
}
