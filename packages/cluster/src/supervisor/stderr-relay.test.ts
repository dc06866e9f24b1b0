import { EventEmitter } from "node:events";
import { PassThrough, Writable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { StderrRelay, type Target } from "../../dist/supervisor/stderr-relay.js";

/** What is written to it waits until it is taken, or until it fails. */
class SlowTarget extends EventEmitter {
  readonly written: string[] = [];

  write(chunk: Buffer): boolean {
    this.written.push(String(chunk));
    return false;
  }
}

async function write(source: PassThrough, text: string): Promise<void> {
  source.write(text);
  await nextTurn();
}

test("nobody is read while what was read is not taken, also one that comes meanwhile", async () => {
  const target = new SlowTarget();
  const relay = new StderrRelay(target as unknown as Target);
  const [one, other, late] = Array.from({ length: 3 }, () => new PassThrough()) as [
    PassThrough,
    PassThrough,
    PassThrough,
  ];
  relay.add(one);
  relay.add(other);
  await write(one, "1");
  relay.add(late);
  await write(late, "2");
  await write(other, "3");
  await write(one, "4");
  expect(target.written).toEqual(["1"]);
  for (let count = 1; count < 4; count++) {
    target.emit("drain");
    await nextTurn();
  }
  expect(target.written.slice(1).sort()).toEqual(["2", "3", "4"]);
});

test("after an error it goes on", async () => {
  const target = new SlowTarget();
  const relay = new StderrRelay(target as unknown as Target);
  const source = new PassThrough();
  relay.add(source);
  await write(source, "lost");
  target.emit("error", new Error("no space left"));
  await write(source, "kept");
  expect(target.written).toEqual(["lost", "kept"]);
});

test("a target that throws ends nobody, and is tried again", async () => {
  const target = new SlowTarget();
  const relay = new StderrRelay(target as unknown as Target);
  const source = new PassThrough();
  relay.add(source);
  const { write: take } = target;
  target.write = () => {
    throw new Error("no space left");
  };
  await write(source, "lost");
  target.write = take;
  await write(source, "kept");
  expect(target.written).toEqual(["kept"]);
});

test("nothing is left on the target when the last one is over", async () => {
  const target = new PassThrough().resume();
  const counts = () => ["error", "drain"].map((event) => target.listenerCount(event));
  const before = counts();
  const relay = new StderrRelay(target);
  const sources = Array.from({ length: 3 }, () => new PassThrough());
  for (const source of sources) relay.add(source);
  expect(counts()).not.toEqual(before);
  for (const source of sources) source.destroy();
  await nextTurn();
  expect(counts()).toEqual(before);
});

test("what waits to be written when the last one is over may fail yet", async () => {
  const failures: ((error: Error) => void)[] = [];
  const target = new Writable({ write: (_chunk, _encoding, done) => void failures.push(done) });
  const relay = new StderrRelay(target);
  const source = new PassThrough();
  relay.add(source);
  await write(source, "waits");
  source.destroy();
  await nextTurn();
  expect(target.listenerCount("error")).toBe(1);
  failures[0]?.(new Error("nobody reads"));
  await nextTurn();
  await nextTurn();
  expect(target.listenerCount("error")).toBe(0);
});

test("what others write to the target behind it is theirs", async () => {
  const written: (() => void)[] = [];
  const target = new Writable({ write: (_chunk, _encoding, done) => void written.push(done) });
  const relay = new StderrRelay(target);
  const source = new PassThrough();
  relay.add(source);
  await write(source, "of a worker");
  target.write("of somebody else");
  source.destroy();
  await nextTurn();
  expect(target.listenerCount("error")).toBe(1);
  written[0]?.();
  await nextTurn();
  await nextTurn();
  expect(target.listenerCount("error")).toBe(0);
});
