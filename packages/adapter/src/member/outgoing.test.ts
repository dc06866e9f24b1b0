import fc from "fast-check";
import { expect, test } from "vitest";
import type { Link } from "../../dist/link/contract.js";
import { Outgoing } from "../../dist/member/outgoing.js";
import { FieldReader } from "../../dist/wire/field-reader.js";
import { FrameKind, frameFields, frameFlags } from "../../dist/wire/frame.js";
import { FrameReader } from "../../dist/wire/frame-reader.js";

const KIB = 1024;

/** A link of which the system takes what it is told to. */
class SlowLink implements Link {
  readonly kind = "pipe";
  readonly taken: Buffer[] = [];
  pendingBytes = 0;
  #pending: Buffer[] = [];

  write(chunks: readonly Buffer[]): void {
    for (const chunk of chunks) {
      this.#pending.push(chunk);
      this.pendingBytes += chunk.length;
    }
  }

  take(most: number): void {
    const all = Buffer.concat(this.#pending);
    // Copied when it is taken: who frees or changes memory too early shows.
    this.taken.push(all.subarray(0, most));
    this.#pending = this.#pending.length === 0 ? [] : cut(this.#pending, most);
    this.pendingBytes = Math.max(0, this.pendingBytes - most);
  }

  end(): void {}
  close(): void {}
}

/** The chunks without their first bytes. */
function cut(chunks: readonly Buffer[], bytes: number): Buffer[] {
  const rest: Buffer[] = [];
  let left = bytes;
  for (const chunk of chunks) {
    if (left < chunk.length) rest.push(chunk.subarray(left));
    left = Math.max(0, left - chunk.length);
  }
  return rest;
}

/** Numbers of the frames that have come, in order. */
function numbersOf(link: SlowLink): { ordered: number[]; ahead: number[] } {
  const numbers = { ordered: [] as number[], ahead: [] as number[] };
  const reader = new FrameReader((buffer, start, end) => {
    const fields = new FieldReader(buffer, frameFields(buffer, start), end);
    const number = fields.u32();
    expect(fields.rest().every((byte) => byte === number % 256)).toBe(true);
    numbers[frameFlags(buffer, start) === 1 ? "ahead" : "ordered"].push(number);
  }, 2 ** 31);
  for (const chunk of link.taken) reader.push(chunk);
  return numbers;
}

const IN_ORDER = [
  FrameKind.broadcast,
  FrameKind.sessionMove,
  FrameKind.sessionForward,
  FrameKind.sessionLost,
  FrameKind.sessionHeard,
] as number[];

const anyStep = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(...IN_ORDER, FrameKind.interest, FrameKind.response),
      bytes: fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 40 * KIB }), fc.nat({ max: 300 * KIB })),
    }),
  },
  { weight: 1, arbitrary: fc.constant("flush" as const) },
  { weight: 1, arbitrary: fc.nat({ max: 400 * KIB }) },
  { weight: 1, arbitrary: fc.constantFrom("hold" as const, "release" as const) },
);

test("what is in order keeps its order, and so does what goes ahead, whatever the link takes and when", () => {
  fc.assert(
    fc.property(fc.array(anyStep, { minLength: 1, maxLength: 60 }), (steps) => {
      const link = new SlowLink();
      const outgoing = new Outgoing(link, () => {});
      let [ordered, ahead] = [0, 0];
      for (const step of steps) {
        if (step === "flush") outgoing.flush();
        else if (step === "hold") outgoing.hold(7);
        else if (step === "release") outgoing.release(7);
        else if (typeof step === "number") {
          link.take(step);
          outgoing.onTaken();
        } else {
          const isAhead = !IN_ORDER.includes(step.kind);
          const outbox = step.kind === FrameKind.response ? outgoing.forAnswerTo(1) : outgoing.for(step.kind);
          const number = isAhead ? ++ahead : ++ordered;
          outbox.begin(step.kind, isAhead ? 1 : 0, 1);
          outbox.u32(number);
          outbox.raw(Buffer.alloc(step.bytes, number % 256));
          outbox.end();
        }
      }
      outgoing.release(7);
      outgoing.flush();
      while (outgoing.backlogBytes > 0) {
        link.take(Number.POSITIVE_INFINITY);
        outgoing.onTaken();
      }
      outgoing.discard();
      const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
      expect(numbersOf(link)).toEqual({ ordered: upTo(ordered), ahead: upTo(ahead) });
    }),
    { numRuns: 500 },
  );
});
