import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { expect, test } from "vitest";
import { encodeFrame, FrameType } from "../../dist/wire/link-frame.js";
import { LinkStreams } from "../../dist/worker/link-streams.js";

test("what was sent arrives though the process ends, once it is written", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const ours = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [theirs] = (await once(server, "connection")) as [Socket];
  const events = { onControl: () => true, onRoom: () => {}, onClose: () => {} };
  const link = new LinkStreams(ours, events);
  const frame = encodeFrame(FrameType.data, 1, Buffer.from("answer"));
  link.send(frame);
  await link.written();
  ours.destroy();
  expect(await buffer(theirs)).toEqual(frame);
  await link.written();
  server.close();
});
