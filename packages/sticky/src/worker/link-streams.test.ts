import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { expect, test } from "vitest";
import { encodeFrame, encodeReset, encodeResume, FrameType } from "../../dist/wire/link-frame.js";
import { LinkStreams } from "../../dist/worker/link-streams.js";

/** A link, and the other end of its connection. */
async function openLink(): Promise<{ link: LinkStreams; ours: Socket; theirs: Socket }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const ours = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [theirs] = (await once(server, "connection")) as [Socket];
  server.close();
  const events = { onControl: () => true, onRoom: () => {}, onClose: () => {} };
  return { link: new LinkStreams(ours, events), ours, theirs };
}

test("what was sent arrives though the process ends, once it is written", async () => {
  const { link, ours, theirs } = await openLink();
  const frame = encodeFrame(FrameType.data, 1, Buffer.from("answer"));
  link.send(frame);
  await link.written();
  ours.destroy();
  expect(await buffer(theirs)).toEqual(frame);
  await link.written();
});

test("who says that a stream goes on which nobody has called for gets no answer; one that was given up is closed", async () => {
  const { link, ours, theirs } = await openLink();
  const said = buffer(theirs);
  theirs.write(encodeFrame(FrameType.resumed, 7));
  const token = Buffer.alloc(16, 1).toString("base64url");
  link.giveUp(token);
  theirs.write(Buffer.concat([encodeFrame(FrameType.resumed, 1), encodeFrame(FrameType.resumed, 1)]));
  await once(ours, "data");
  await link.written();
  ours.end();
  expect(await said).toEqual(Buffer.concat([encodeResume(1, token), encodeReset(1, 0)]));
});
