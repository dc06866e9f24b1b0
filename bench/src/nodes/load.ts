/** A load generator: clients of all kinds, in a process whose cost counts for nobody. Program. */
import { Agent } from "../lib/agent.js";
import { arrivals } from "../load/arrivals.js";
import { audience } from "../load/audience.js";
import { getters } from "../load/getters.js";
import { pollers } from "../load/pollers.js";

const agent = new Agent();
agent.ready({ role: "load", index: 1 }, { ...arrivals(), ...audience(agent), ...getters(), ...pollers() });
