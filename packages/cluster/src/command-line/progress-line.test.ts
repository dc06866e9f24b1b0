import { expect, test } from "vitest";
import { ProgressLine } from "../../dist/command-line/progress-line.js";

const CLEAR = "\r\x1b[K";
const PROGRESS = { workersDone: 1, workers: 4, moved: 30, total: 120, step: "moving", slot: 1 } as const;

function written(isTTY: boolean) {
  const texts: string[] = [];
  return { texts, out: { isTTY, columns: 200, write: (text: string) => texts.push(text) } as never };
}

test("on a terminal it is a bar on one line, with what is moved", () => {
  const { texts, out } = written(true);
  const line = new ProgressLine(out);
  line.show(PROGRESS);
  line.show({ ...PROGRESS, workersDone: 4, moved: 120, step: "done" });
  line.end();
  expect(texts[0]?.slice(0, CLEAR.length)).toBe(CLEAR);
  expect(texts[0]?.slice(CLEAR.length)).toMatch(
    /^█+░+ {2}workers 1\/4 {2}sessions moved 30\/120 {2}slot 1: moving$/,
  );
  expect(texts[1]).toContain(`${"█".repeat(24)}  workers 4/4  sessions moved 120/120`);
  expect(texts[2]).toBe(CLEAR);
});

test("it is no longer than the terminal is wide", () => {
  const texts: string[] = [];
  new ProgressLine({ isTTY: true, columns: 40, write: (text: string) => texts.push(text) } as never).show(
    PROGRESS,
  );
  expect(texts[0]?.slice(CLEAR.length).length).toBe(39);
});

test("elsewhere it is a line for each step", () => {
  const { texts, out } = written(false);
  const line = new ProgressLine(out);
  line.show({ ...PROGRESS, step: "starting" });
  for (const moved of [0, 10, 20]) line.show({ ...PROGRESS, moved });
  line.show({ ...PROGRESS, step: "done", workersDone: 2, moved: 120 });
  line.end();
  expect(texts).toEqual([
    "slot 1: starting\n",
    "slot 1: moving\n",
    "slot 1: done (2 of 4 workers, 120 of 120 sessions moved)\n",
  ]);
});
