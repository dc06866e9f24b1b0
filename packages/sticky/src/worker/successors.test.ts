/** What a worker knows of who has got the sessions of others. */
import { expect, test } from "vitest";
import { Successors } from "../../dist/worker/successors.js";

test("what it was told leads from one to the next", () => {
  const successors = new Successors(() => {});
  successors.set(1, 2);
  successors.set(2, 3);
  expect([successors.of(1), successors.of(2), successors.of(3)]).toEqual([3, 3, 3]);
  successors.set(2, -1);
  expect(successors.of(1)).toBe(2);
});

test("what leads around in circles ends", () => {
  const successors = new Successors(() => {});
  successors.set(1, 2);
  successors.set(2, 1);
  expect([1, 2]).toContain(successors.of(1));
});

test("it asks once however many want to know, and again if there was no answer", async () => {
  const asked: number[] = [];
  const successors = new Successors((worker) => void asked.push(worker));
  const answers = Promise.all([successors.after(1), successors.after(1)]);
  successors.set(1, -1);
  expect(await answers).toEqual([1, 1]);
  const later = successors.after(1);
  successors.set(1, 2);
  expect(await later).toBe(2);
  expect(await successors.after(1)).toBe(2);
  expect(asked).toEqual([1, 1]);
});

test("without a primary nobody waits", async () => {
  const successors = new Successors(() => {});
  const answer = successors.after(1);
  successors.close();
  expect(await answer).toBe(1);
});
