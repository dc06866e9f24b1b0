import type { Namespace } from "socket.io";
import { expect, test } from "vitest";
import type { PreparedPacket } from "../../dist/socketio/prepared-packet.js";
import type { RecoveryPort } from "../../dist/socketio/recovery-port.js";
import { Restores } from "../../dist/socketio/restores.js";

const OFFSET = "epoc0000000001";
const SESSION = { sid: "s", rooms: new Set(["s"]), data: Buffer.alloc(0) };

/** Stands for the way to the hub: notes what is said, and fails what the link has not answered. */
class FakePort {
  readonly questions: { handle: number; fail(): void }[] = [];
  readonly ended: number[] = [];
  #lastHandle = 0;

  nextHandle(): number {
    return ++this.#lastHandle;
  }

  restore(handle: number, _id: string, _offset: string, _ms: number, onSettled: (error?: Error) => void) {
    this.questions.push({ handle, fail: () => onSettled(new Error("no answer")) });
  }

  sessionEnd(handle: number): void {
    this.ended.push(handle);
  }
}

function setUp() {
  const port = new FakePort();
  const nsp = { _preConnectSockets: new Map() } as unknown as Namespace;
  return { port, restores: new Restores(nsp, port as unknown as RecoveryPort, 60_000) };
}

/** The packet is not looked at; a name stands for it. */
const packet = (name: string) => name as unknown as PreparedPacket;

test("a session that came in part when the link was lost is asked for again, and comes whole and once", async () => {
  const { port, restores } = setUp();
  const answer = restores.ask("p", OFFSET);
  const handle = port.questions[0]?.handle ?? 0;
  restores.onAnswer(handle, { ...SESSION, missed: 2 });
  expect(restores.takeMissed(packet("1"), {})).toBe(true);
  restores.onUnlinked();
  port.questions[0]?.fail();
  expect(restores.isEmpty).toBe(true);
  await Promise.resolve();
  expect(port.questions.map((question) => question.handle)).toEqual([handle, handle]);
  expect(restores.takeMissed(packet("of the new link, and not for the session"), {})).toBe(false);
  restores.onAnswer(handle, { ...SESSION, missed: 3 });
  for (const name of ["1", "2", "3"]) expect(restores.takeMissed(packet(name), {})).toBe(true);
  expect((await answer)?.sid).toBe("s");
  restores.onMade("s");
  expect(restores.arrive("s")?.packets.map((entry) => entry.packet)).toEqual(["1", "2", "3"]);
});

test("a question that fails for another reason, or again, is answered with a new session", async () => {
  const { port, restores } = setUp();
  const first = restores.ask("p", OFFSET);
  port.questions[0]?.fail();
  expect(await first).toBeNull();
  const second = restores.ask("p", OFFSET);
  restores.onUnlinked();
  await Promise.resolve();
  port.questions[2]?.fail();
  expect(await second).toBeNull();
  expect(port.questions).toHaveLength(3);
});

test("who has stopped waiting is not asked for again", async () => {
  const { port, restores } = setUp();
  const answer = restores.ask("p", OFFSET);
  restores.onUnlinked();
  restores.close();
  expect(await answer).toBeNull();
  expect(port.questions).toHaveLength(1);
});
