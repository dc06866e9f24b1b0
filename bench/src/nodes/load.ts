/** A load generator: clients of all kinds, in a process whose cost counts for nobody. Program. */
import { Agent, type Commands } from "@holdfast/harness";
import { USAGE_COMMANDS } from "../lib/usage.js";
import { arrivals } from "../load/arrivals.js";
import { audience } from "../load/audience.js";
import { crowd } from "../load/crowd.js";
import { getters } from "../load/getters.js";
import { pollers } from "../load/pollers.js";
import { returners } from "../load/returners.js";

const agent = new Agent();
agent.ready(
  { role: "worker", workerId: 1, port: 0 },
  together(USAGE_COMMANDS, arrivals(), audience(agent), crowd(), getters(), pollers(), returners()),
);

/** All commands; one of two with the same name would be another bench's. */
function together(...parts: readonly Commands[]): Commands {
  const all: Commands = {};
  for (const [name, command] of parts.flatMap(Object.entries)) {
    if (name in all) throw new Error(`two commands are named "${name}"`);
    all[name] = command;
  }
  return all;
}
