import { beforeEach, expect, test } from "vitest";
import { SignOfLife } from "../../dist/member/sign-of-life.js";

let now: number;
let signs: number[];
let life: SignOfLife;

beforeEach(() => {
  now = 1_000_000;
  signs = [];
  life = new SignOfLife(
    () => void signs.push(now),
    () => now,
  );
});

function work(frames: number, msEach: number, bytes = 64 * 1024): void {
  life.begin(bytes);
  for (let i = 0; i < frames; i++) {
    now += msEach;
    life.step();
  }
  life.end();
}

test("fast work gives no sign, however much of it comes, and whatever is between", () => {
  for (let read = 0; read < 100; read++) {
    work(1_000, 0.01);
    now += 300;
  }
  expect(signs).toEqual([]);
});

test.each([
  ["many slow frames in one read", 200, 50],
  ["a few that take very long", 6, 2_000],
])("%s: signs come while they are worked off", (_, frames, msEach) => {
  work(frames, msEach);
  expect(signs.length).toBeGreaterThan(1);
  for (const [i, at] of signs.slice(1).entries()) {
    expect(at - (signs[i] as number)).toBeLessThanOrEqual(Math.max(2 * msEach, 100));
  }
});

test("what is read alone, because nothing else waits, gives none", () => {
  for (let read = 0; read < 20; read++) work(1, 100, 1_000);
  expect(signs).toEqual([]);
});

test("many reads with one slow frame each, one after the other, give signs, too", () => {
  for (let read = 0; read < 20; read++) work(1, 100);
  expect(signs.length).toBeGreaterThan(4);
});
