/** A stream that is to go on elsewhere, and whose other end says nothing, with a clock that the test moves. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FrameType, HEADER_BYTES } from "../../dist/wire/link-frame.js";
import { LinkStream } from "../../dist/worker/link-stream.js";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
afterEach(() => void vi.useRealTimers());

function openStream() {
  const sent: number[] = [];
  const carrier = {
    send: (frame: Buffer) => void sent.push(frame[HEADER_BYTES - 5] as number),
    sendData: () => void sent.push(FrameType.data),
    mustWait: () => false,
    forget: () => {},
    heard: 0,
    isSilent: false,
  };
  return { stream: new LinkStream({ id: 1, carrier }), carrier, sent };
}

const { data, hold, held, release, end, leave } = FrameType;

test("an end that is asked and says nothing is let go of, and nobody on its link is asked until something comes", async () => {
  const { stream, carrier, sent } = openStream();
  const asked = stream.hold();
  stream.write("a");
  vi.advanceTimersByTime(1_000);
  expect(await asked).toBe(false);
  expect(sent).toEqual([hold, release, data]);
  expect(await stream.hold()).toBe(false);
  carrier.isSilent = false;
  const again = stream.hold();
  // The answer to the first question says nothing about the second.
  stream.onHeld();
  stream.write("b");
  expect(await Promise.race([again, Promise.resolve("asking")])).toBe("asking");
  stream.onHeld();
  expect(await again).toBe(true);
  expect(sent).toEqual([hold, release, data, hold]);
  stream.release();
  expect(sent).toEqual([hold, release, data, hold, release, data]);
  stream.destroy();
});

test("an end that answers late is waited for as long as its link brings something, and not for ever", async () => {
  const { stream, carrier, sent } = openStream();
  const busy = (seconds: number) => {
    for (let i = 0; i < seconds; i++) {
      carrier.heard++;
      vi.advanceTimersByTime(1_000);
    }
  };
  const asked = stream.hold();
  busy(9);
  stream.onHeld();
  expect(await asked).toBe(true);
  stream.release();
  const again = stream.hold();
  busy(10);
  expect(await again).toBe(false);
  expect(sent).toEqual([hold, release, hold, release]);
  // The others may try.
  expect(carrier.isSilent).toBe(false);
});

test("an end that has ended, or is held itself, does not move", async () => {
  const ended = openStream();
  ended.stream.resume().onEnd();
  expect(await ended.stream.hold()).toBe(false);
  const ending = openStream();
  const asked = ending.stream.hold();
  ending.stream.end();
  ending.stream.onHeld();
  expect(await asked).toBe(false);
  expect(ending.sent).toEqual([hold, end, release]);
  const other = openStream();
  other.stream.onHold();
  other.stream.write("a");
  expect(await other.stream.hold()).toBe(false);
  expect(other.sent).toEqual([held]);
  other.stream.onRelease();
  expect(other.sent).toEqual([held, data]);
});

/** The owner's end. */
class GivingWay extends LinkStream {
  override get givesWay(): boolean {
    return true;
  }
}

test("of two that ask at the same time, the owner gives way, and nobody is held by a question that is forgotten", async () => {
  const { carrier, sent } = openStream();
  const owner = new GivingWay({ id: 1, carrier });
  const asked = owner.hold();
  // The other one's question, and that it has given it up meanwhile.
  owner.onHold();
  expect(await asked).toBe(false);
  owner.onRelease();
  owner.write("a");
  expect(sent).toEqual([hold, held, release, data]);
  // What the other one hears of that, when it has given up.
  const relay = openStream();
  const given = relay.stream.hold();
  vi.advanceTimersByTime(1_000);
  expect(await given).toBe(false);
  relay.stream.onHold();
  relay.stream.onHeld();
  relay.stream.onRelease();
  relay.stream.write("b");
  expect(relay.sent).toEqual([hold, release, held, data]);
});

test("a worker that leaves while its stream is on its way says so when it has arrived", () => {
  const { carrier, sent } = openStream();
  const stream = new LinkStream(undefined);
  stream.leave();
  stream.arrive({ id: 2, carrier });
  stream.leave();
  expect(sent).toEqual([]);
  stream.onResumed();
  stream.leave();
  expect(sent).toEqual([leave, leave]);
});

test("an end that says that it moves without having asked is closed", () => {
  const { stream } = openStream();
  stream.onMove(Buffer.alloc(20));
  expect(stream.destroyed).toBe(true);
});
