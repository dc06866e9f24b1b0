import { expect, test } from "vitest";
import { PortFrames } from "../../dist/member/port-frames.js";
import { FieldReader } from "../../dist/wire/field-reader.js";
import { FrameKind } from "../../dist/wire/frame.js";

/** A command without claims. */
const COMMAND = Buffer.from([0, 0, 0, 0, 7]);

function open() {
  const heard: unknown[] = [];
  const handlers = {
    onCommand: (operation: number) => void heard.push(operation),
    moves: {
      onReturned: (read: () => void) => {
        heard.push("returned");
        read();
      },
    },
  };
  const frames = new PortFrames({} as never, handlers as never, () => 1);
  const say = (kind: number) => frames.onFrame(kind, 0, new FieldReader(COMMAND, 0, COMMAND.length));
  return { heard, frames, say };
}

test("one frame after `returned` is this worker's own", () => {
  const { heard, say } = open();
  for (const kind of [FrameKind.returned, FrameKind.command, FrameKind.command]) say(kind);
  expect(heard).toEqual(["returned", 7, 7]);
});

test("what another link brings is nothing of its own, if one was lost right after `returned`", () => {
  const { heard, frames, say } = open();
  say(FrameKind.returned);
  frames.onUnlinked();
  say(FrameKind.command);
  expect(heard).toEqual([7]);
});
