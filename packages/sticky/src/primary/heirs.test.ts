/** Who has the sessions of a worker that retires. */
import { expect, test } from "vitest";
import { Heirs } from "../../dist/primary/heirs.js";

const alive = (...workers: number[]) => {
  const living = new Set(workers);
  return (worker: number) => living.has(worker);
};

test("a worker that gives its sessions away gets requests until it has none, or is gone", () => {
  const heirs = new Heirs();
  expect(heirs.of(1, alive(1))).toBe(1);
  heirs.name(1, 2);
  expect(heirs.of(1, alive(1, 2))).toBe(1);
  expect(heirs.of(1, alive(2))).toBe(2);
  heirs.onDone(1);
  expect(heirs.of(1, alive(1, 2))).toBe(2);
});

test("sessions that have moved again and again are found", () => {
  const heirs = new Heirs();
  heirs.name(1, 2);
  heirs.onDone(1);
  heirs.name(2, 3);
  expect(heirs.of(1, alive(1, 2, 3))).toBe(2);
  heirs.onDone(2);
  expect(heirs.of(1, alive(3))).toBe(3);
  expect(heirs.after(1, alive(3))).toBe(3);
});

test("whoever could not reach a worker hears who has its sessions, though it may live", () => {
  const heirs = new Heirs();
  expect(heirs.after(1, alive(1))).toBe(-1);
  heirs.name(1, 2);
  expect(heirs.after(1, alive(1, 2))).toBe(2);
  expect(heirs.after(1, alive(1))).toBe(-1);
});

test("whoever gets sessions has no heir", () => {
  const heirs = new Heirs();
  heirs.name(1, 2);
  expect([heirs.forget(1), heirs.forget(1)]).toEqual([true, false]);
  heirs.name(2, 1);
  expect(heirs.of(2, alive(1))).toBe(1);
});
