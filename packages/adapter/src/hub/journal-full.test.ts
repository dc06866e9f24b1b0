/** The word that the journal has dropped packets before their time, which the application hears in the middle of the hub. */
import { expect, test } from "vitest";
import { Hub } from "../../dist/hub/hub.js";
import type { HubMember } from "../../dist/hub/hub-member.js";
import type { LinkEvents } from "../../dist/link/contract.js";
import { Outbox } from "../../dist/link/outbox.js";
import { FrameKind, frameKind, frameNamespace, OpenFlag } from "../../dist/wire/frame.js";
import { FrameReader } from "../../dist/wire/frame-reader.js";
import { machineTime } from "../../dist/wire/machine-time.js";
import { OFFSET_BYTES } from "../../dist/wire/offset.js";

const OFFSET_PLACE = Buffer.alloc(OFFSET_BYTES, "~");
const MIB = 2 ** 20;
const ignore = () => {};

/** A worker of one namespace that counts the packets which it gets. */
class Worker {
  readonly member: HubMember;
  packets = 0;
  #namespaceId = 0;
  #link: "open" | "ended" = "open";
  #says: Outbox | undefined;

  constructor(hub: Hub, workerId: number) {
    const reader = new FrameReader((buffer, start) => {
      if (frameKind(buffer, start) === FrameKind.opened) this.#namespaceId = frameNamespace(buffer, start);
      if (frameKind(buffer, start) === FrameKind.record) this.packets++;
    }, MIB);
    this.member = hub.admit({ workerId, pid: workerId }, (events) => {
      this.#says = outboxTo(events);
      return {
        ...{ kind: "pipe" as const, pendingBytes: 0, close: ignore },
        write: (chunks) => {
          if (this.#link === "open") for (const chunk of chunks) reader.push(Buffer.from(chunk));
        },
        end: () => {
          this.#link = "ended";
        },
      };
    });
    this.#say(FrameKind.open, OpenFlag.recovery, (frame) => {
      frame.u32(1);
      frame.u64(Math.floor(machineTime()));
      frame.u32(60_000);
      frame.u32(60_000);
      frame.raw(Buffer.from("/", "utf16le"));
    });
    this.listen();
  }

  record(bytes: number): void {
    this.#say(FrameKind.record, 0, (frame) => {
      frame.u32(OFFSET_BYTES);
      frame.u32(this.member.id);
      frame.names(new Set());
      frame.names(new Set());
      frame.raw(Buffer.alloc(bytes));
      frame.raw(OFFSET_PLACE);
    });
  }

  /** Hears what the hub would have sent at the end of its turn. */
  listen(): void {
    this.member.outbox.flush();
  }

  #say(kind: number, flags: number, write: (frame: Outbox) => void): void {
    const says = this.#says as Outbox;
    says.begin(kind, flags, this.#namespaceId);
    write(says);
    says.end();
    says.flush();
  }
}

function outboxTo(events: LinkEvents): Outbox {
  const write = (chunks: readonly Buffer[]) => events.onChunk(Buffer.concat(chunks));
  return new Outbox({ pendingBytes: 0, write });
}

test("the packet that fills the journal goes to all, although whoever is told of that closes the hub", async () => {
  const limits = { maxMessageBytes: MIB, maxBacklogBytes: MIB, stallTimeout: 1_000, journalBytes: MIB };
  let tell = () => {};
  const isTold = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const onJournalFull = () => {
    void hub.close();
    tell();
  };
  const events = { onJoin: ignore, onLeave: ignore, onStalled: ignore, onError: ignore, onJournalFull };
  const hub = new Hub(limits, events);
  const [from, to] = [new Worker(hub, 1), new Worker(hub, 2)];
  let sent = 0;
  while (hub.recoveryStats.cut === 0) {
    from.record(100_000);
    sent++;
    to.listen();
  }
  await isTold;
  expect(to.packets).toBe(sent);
});
