import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HubWatch } from "../../dist/member/hub-watch.js";

const SECOND = 1_000;

let watch: HubWatch;
let asked: number;
let told: number;
/** Time that has passed while this process stood still: its timers have not noticed. */
let stoodStillMs: number;

beforeEach(() => {
  vi.useFakeTimers();
  asked = told = stoodStillMs = 0;
  watch = new HubWatch(
    { ask: () => void asked++, onSilent: () => void told++ },
    () => Date.now() + stoodStillMs,
  );
});
afterEach(() => {
  watch.stop();
  vi.useRealTimers();
});

function pass(seconds: number): void {
  for (let i = 0; i < seconds; i++) vi.advanceTimersByTime(SECOND);
}

/** The process stands still for so long, and goes on with what its timers have missed. */
function standStill(seconds: number): void {
  stoodStillMs += seconds * SECOND;
  pass(1);
}

function untilSilent(): void {
  watch.start();
  pass(20);
  expect([asked, told]).toEqual([1, 1]);
}

test("a hub that says something now and then is not asked", () => {
  watch.start();
  for (let i = 0; i < 20; i++) {
    watch.heard();
    pass(2);
  }
  expect([asked, told]).toEqual([0, 0]);
});

test("one that says nothing is asked every few seconds, and is not told of as long as it answers", () => {
  watch.start();
  for (let i = 1; i <= 20; i++) {
    while (asked < i) pass(1);
    pass(5);
    watch.heard();
    pass(1);
  }
  expect([asked, told]).toEqual([20, 0]);
});

test("one that does not answer is told of ten seconds after it was asked, once", () => {
  watch.start();
  while (asked === 0) pass(1);
  pass(9);
  expect(told).toBe(0);
  pass(2);
  expect(told).toBe(1);
  pass(100);
  expect([asked, told]).toEqual([1, 1]);
});

test("and again only after it was heard", () => {
  untilSilent();
  watch.heard();
  pass(20);
  expect([asked, told]).toEqual([2, 2]);
});

describe("a process that stands still itself", () => {
  test("once for long, after it has asked, tells nothing", () => {
    watch.start();
    while (asked === 0) pass(1);
    pass(5);
    standStill(60);
    expect(told).toBe(0);
  });

  test("again and again tells nothing", () => {
    watch.start();
    for (let i = 0; i < 100; i++) standStill(3);
    expect([asked, told]).toEqual([0, 0]);
  });

  test("tells of a hub that is silent afterwards", () => {
    watch.start();
    standStill(60);
    pass(20);
    expect([asked, told]).toEqual([1, 1]);
  });
});

describe("who waits for the hub unless it is silent", () => {
  async function isOver(wait: Promise<void>): Promise<boolean> {
    let over = false;
    void wait.then(() => {
      over = true;
    });
    for (let i = 0; i < 5; i++) await Promise.resolve();
    return over;
  }
  const never = new Promise<void>(() => {});

  test("goes on with the hub's word", async () => {
    let say = () => {};
    const known = new Promise<void>((resolve) => {
      say = resolve;
    });
    watch.start();
    const wait = watch.orSilent(known);
    expect(await isOver(wait)).toBe(false);
    say();
    expect(await isOver(wait)).toBe(true);
  });

  test("goes on when it is told of, also without the hub's word, and so do all who come while it is silent", async () => {
    const early = watch.orSilent(never);
    watch.start();
    const later = watch.orSilent(never);
    pass(12);
    expect(await Promise.all([early, later].map(isOver))).toEqual([false, false]);
    pass(5);
    expect(told).toBe(1);
    expect(await Promise.all([early, later, watch.orSilent(never)].map(isOver))).toEqual([true, true, true]);
  });

  test("goes on although who is told of it throws", async () => {
    const throwing = new HubWatch({
      ask: () => {},
      onSilent: () => {
        throw new Error("of the application");
      },
    });
    throwing.start();
    const wait = throwing.orSilent(never);
    expect(() => pass(20)).toThrow("of the application");
    expect(await isOver(wait)).toBe(true);
    throwing.stop();
  });

  test("waits again when it was heard, and for the next hub", async () => {
    untilSilent();
    watch.heard();
    pass(1);
    expect(await isOver(watch.orSilent(never))).toBe(false);
    pass(20);
    expect(await isOver(watch.orSilent(never))).toBe(true);
    watch.stop();
    expect(await isOver(watch.orSilent(never))).toBe(false);
  });
});

test("it leaves no timer behind, and keeps no process alive", () => {
  const timers = vi.getTimerCount();
  watch.start();
  expect(vi.getTimerCount()).toBe(timers + 1);
  watch.stop();
  expect(vi.getTimerCount()).toBe(timers);
  untilSilent();
  watch.stop();
  expect(vi.getTimerCount()).toBe(timers);
});
