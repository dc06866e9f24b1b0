/** The recovery workload in short; `npm run workload` runs the long one. */
import { expect, test } from "vitest";
import { expectSound } from "./harness/expect-sound.js";
import { LINKS } from "./harness/links.js";
import { runWorkload } from "./workloads/recovery-workload.js";

/** How often workers are cut off: more in CI, beside the suite. */
const CUTS = process.env.HOLDFAST_WIDE === "1" ? 5 : 2;

test.each(LINKS)(
  "over %s, no message is lost, doubled or reordered while connections drop and workers are killed",
  async (link) => {
    const result = await runWorkload({
      link,
      seconds: 12,
      workers: 4,
      clients: 40,
      rooms: 10,
      rate: 200,
      killEveryMs: 3000,
      dropEveryMs: 4000,
    });
    expectSound(result);
    expect(result.kills).toBe(3);
  },
  300_000,
);

test.each(LINKS)(
  "over %s, nor while workers are cut off and taken back, in the middle of their clients' return",
  async (link) => {
    const result = await runWorkload({
      link,
      seconds: 2 * (CUTS + 1),
      workers: 4,
      clients: 40,
      rooms: 10,
      rate: 200,
      killEveryMs: 2000,
      dropEveryMs: 2000,
      cutsOff: true,
    });
    expectSound(result);
    expect([result.kills, result.cuts]).toEqual([CUTS, CUTS]);
  },
  300_000,
);
