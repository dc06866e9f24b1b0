import fc from "fast-check";
import { expect, test } from "vitest";
import { Sender } from "../../../dist/backplane/redis-streams/sender.js";
import { HEADER_BYTES } from "../../../dist/wire/frame.js";

type Argument = string | Buffer;

/** A call of a client of Redis: what it was given, and what that was at the time. */
interface Call {
  readonly number: number;
  readonly given: readonly Argument[];
  /** Whether it still is that. */
  isIntact(): boolean;
  answer(): Promise<void>;
  fail(): Promise<void>;
}

function textOf(args: readonly Argument[]): string {
  return args.map((argument) => argument.toString("latin1")).join();
}

function frameOf(bytes: number, filler: number): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + bytes, filler);
  frame.writeUInt32LE(frame.length, 0);
  return frame;
}

class Client {
  readonly calls: Call[] = [];
  readonly sender: Sender;
  failures = 0;
  #filler = 0;

  constructor() {
    this.sender = new Sender(Number.POSITIVE_INFINITY, {
      call: (number, _version, args) => this.#call(number, args),
      version: () => 1,
      onTold: () => {},
      onSessionLost: () => {},
      onFailure: () => {
        this.failures++;
        this.sender.stop();
      },
    });
    this.sender.start({ number: 0, firstRecord: 0 });
  }

  /** The one that has no answer. */
  get open(): Call | undefined {
    return this.calls.at(-1);
  }

  send(hosts: readonly string[], bytes: number): void {
    const frame = frameOf(bytes, ++this.#filler);
    this.sender.batch.send(hosts, 1, "/", frame, 0, frame.length);
  }

  record(bytes: number): void {
    const frame = frameOf(bytes, ++this.#filler);
    this.sender.batch.record("/", frame, 0, frame.length);
  }

  #call(number: number, given: readonly Argument[]): Promise<readonly unknown[]> {
    return new Promise((resolve, reject) => {
      const text = textOf(given);
      const settled = () => new Promise<void>((done) => setImmediate(done));
      this.calls.push({
        number,
        given,
        isIntact: () => textOf(given) === text,
        answer: () => {
          resolve(["OK", "1", "0", "0", "1"]);
          return settled();
        },
        fail: () => {
          reject(new Error("gone"));
          return settled();
        },
      });
    });
  }
}

const bytes = fc.oneof(fc.nat(300), fc.integer({ min: 2_000, max: 90_000 }), fc.constant(350_000));
const step = fc.oneof(
  fc.record({ do: fc.constant("send" as const), hosts: fc.subarray(["a", "b"], { minLength: 1 }), bytes }),
  fc.record({ do: fc.constant("record" as const), bytes }),
  fc.record({ do: fc.constantFrom("turn", "answer", "fail", "seen", "again") }),
);

test("what a client of Redis was given stays what it is until it has answered, for ever if it does not", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const client = new Client();
      const { sender } = client;
      const answered = new Set<Call>();
      for (const item of steps) {
        const { open } = client;
        if (item.do === "send") client.send(item.hosts, item.bytes);
        else if (item.do === "record") client.record(item.bytes);
        else if (item.do === "turn") await new Promise((resolve) => setImmediate(resolve));
        else if (item.do === "seen") sender.seen(Math.max(0, ...[...answered].map(({ number }) => number)));
        else if (item.do === "again") sender.sendAgain();
        else if (open && !answered.has(open) && client.failures === 0) {
          answered.add(open);
          if (item.do === "answer") {
            expect(open.isIntact()).toBe(true);
            await open.answer();
          } else {
            await open.fail();
            answered.delete(open);
            client.failures = 0;
            sender.start({ number: 0, firstRecord: 0 });
          }
        }
      }
      for (const call of client.calls) if (!answered.has(call)) expect(call.isIntact()).toBe(true);
      sender.close();
    }),
    { numRuns: 300 },
  );
});

test("a batch that was carried out, though its answer was lost, keeps its memory", async () => {
  const client = new Client();
  client.send(["a"], 5_000);
  await new Promise((resolve) => setImmediate(resolve));
  const [first] = client.calls;
  await first?.fail();
  client.sender.start({ number: 1, firstRecord: 0 });
  for (let i = 0; i < 20; i++) {
    client.send(["a"], 5_000);
    await new Promise((resolve) => setImmediate(resolve));
    await client.open?.answer();
  }
  expect(client.calls).toHaveLength(21);
  expect(first?.isIntact()).toBe(true);
  client.sender.close();
});

test("memory of a batch that has come back is used again", async () => {
  const client = new Client();
  const memory = new Set<ArrayBufferLike>();
  for (let i = 0; i < 50; i++) {
    client.send(["a"], 5_000);
    await new Promise((resolve) => setImmediate(resolve));
    const frames = client.open?.given.at(-1) as Buffer;
    memory.add(frames.buffer);
    await client.open?.answer();
  }
  expect(client.calls).toHaveLength(50);
  expect(memory.size).toBeLessThan(5);
  client.sender.close();
});
