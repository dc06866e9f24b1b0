/**
 * Question: does a broadcast cost more where the hosts have more workers?
 * Two hosts with 2 and with 16 workers each side by side, so that their ratio is made of pairs: 100 B to a room with
 * members on two workers of each host, as fast as the emitter's loop allows. Windows of 1 s, the first dropped, after 1.5 s of the same.
 */
import type { Bench } from "../lib/bench.js";
import { HOSTS_MEASURES, HOSTS_METHOD, openHosts, QUICK } from "./hosts-session.js";

const LISTENERS = 2;

export const hostsGrowth: Bench = {
  name: "hosts-growth",
  title: "Two hosts: from 2 to 16 workers each",
  question: "Does a broadcast cost more where the hosts have more workers?",
  method: [
    ...HOSTS_METHOD.slice(1),
    "As the first of them, with 2 and with 16 workers on each of two hosts, measured in turn. The room has a member on two workers of each host, however many there are.",
  ],
  measures: HOSTS_MEASURES,
  cases: () => [
    {
      title: "2 and 16 workers a host",
      contestants: ["holdfast@2", "holdfast@16"],
      comparisons: [
        { of: "holdfast@16", to: "holdfast@2", measure: "cluster", atMost: 1.3 },
        { of: "holdfast@16", to: "holdfast@2", measure: "redis" },
        { of: "holdfast@16", to: "holdfast@2", measure: "primary" },
      ],
      open: (lab, contestant) => {
        const [name = "", workers] = contestant.split("@");
        return openHosts(lab, name, {
          workersPerHost: Number(workers),
          options: { payload: { kind: "text", bytes: 100 }, rooms: 1, listeners: LISTENERS },
          pace: QUICK,
        });
      },
    },
  ],
};
