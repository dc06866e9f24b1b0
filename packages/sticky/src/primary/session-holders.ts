/** Where sessions are, for all routers of the process. Runs in: primary. */
import { Holders } from "../holders.js";
import { processWide } from "../process-wide.js";

export function sessionHolders(): Holders {
  return processWide("session holders", () => new Holders());
}
