/**
 * Question: does a hub with very many members pay more for each delivery?
 * 16, 32 and 64 members, simulated in one process, over real links; broadcasts of 100 B to a room that all are in, or one.
 * Windows of 800 ms, the first dropped. Checked: each interested member gets each number once, in order, others none.
 */
import type { RemoteProgram } from "@holdfast/harness";
import type { Bench, Case, Sample } from "../lib/bench.js";
import { cpuDuring } from "../lib/cpu.js";
import type { HubMembersConfig, HubWindow } from "../nodes/hub-members.js";

const SIZES = [16, 32, 64];
const WINDOW_MS = 800;
const PAYLOAD_BYTES = 100;

async function sample(program: RemoteProgram): Promise<Sample> {
  const { primary } = program;
  if (!primary) throw new Error("a hub has a process");
  let window: HubWindow | undefined;
  const cpu = await cpuDuring(program, async () => {
    window = await program.worker(0).call<HubWindow>("emit", WINDOW_MS);
  });
  if (!window) throw new Error("unreachable: the window has ended");
  const { emitted, deliveries, failures } = window;
  return { failures, values: { hop: cpu.of(primary) / deliveries, emit: cpu.of(primary) / emitted } };
}

function growing(title: string, interestedOf: (members: number) => number): Case {
  return {
    title,
    contestants: SIZES.map((members) => `holdfast@${members}`),
    comparisons: SIZES.slice(1).map((members) => ({
      of: `holdfast@${members}`,
      to: `holdfast@${SIZES[0]}`,
      measure: "hop",
      atMost: 1.1,
    })),
    open: async (lab, contestant) => {
      const members = Number(contestant.split("@")[1]);
      const interested = interestedOf(members);
      const config: HubMembersConfig = { members, interested, payloadBytes: PAYLOAD_BYTES };
      const program = await lab.start("nodes/hub-members", config, 2);
      // Until the code is as hot as in a hub that has run for a while.
      await program.worker(0).call("emit", 2 * WINDOW_MS);
      return { sample: () => sample(program), close: () => program.close() };
    },
  };
}

export const hubGrowth: Bench = {
  name: "hub-growth",
  title: "A hub with 16 to 64 members",
  question: "Does a hub with very many members pay more for each delivery?",
  method: [
    "The hub in a process of its own; its members are simulated in another one, which is not counted, each over a Unix socket of its own.",
    "One member emits 100 B to a room, 64 events a turn, at most 2048 on their way, for 800 ms after a warm-up of 1.6 s. Either all members are interested in the room, or one other member is.",
    "Each interested member checks that every number comes once and in order, the others that none comes.",
  ],
  measures: [
    { key: "hop", title: "CPU of the hub per delivery to a member", unit: "µs", better: "lower" },
    { key: "emit", title: "CPU of the hub per broadcast", unit: "µs", better: "lower" },
  ],
  chart: "hop",
  cases: () => [
    growing("all members interested", (members) => members),
    growing("one member interested", () => 1),
  ],
};
