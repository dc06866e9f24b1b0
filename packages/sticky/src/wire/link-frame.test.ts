import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeCredit,
  decodeMove,
  decodeReset,
  decodeResume,
  encodeCredit,
  encodeFrame,
  encodeHello,
  encodeMove,
  encodeReset,
  encodeResume,
  FrameType,
  LinkFrameReader,
  MAX_PAYLOAD_BYTES,
} from "../../dist/wire/link-frame.js";

type Frame = [type: number, stream: number, payload: string];

/** All frames of `bytes`, cut at `stops`; pieces of one `data` frame are put together. */
function read(bytes: Buffer, stops: number[] = []): { frames: Frame[]; ok: boolean } {
  const frames: Frame[] = [];
  const reader = new LinkFrameReader((type, stream, payload) => {
    frames.push([type, stream, payload.toString("latin1")]);
  });
  const cuts = [0, ...stops.map((stop) => stop % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const ok = cuts.slice(1).every((end, i) => reader.execute(bytes.subarray(cuts[i], end)));
  return { frames, ok };
}

test("literal frames", () => {
  const hex = (frame: Buffer) => frame.toString("hex");
  expect(hex(encodeHello("ab", 258))).toBe("07000001" + "00000000" + "05" + "02010000" + "6162");
  expect(hex(encodeFrame(FrameType.data, 258, Buffer.from("xyz")))).toBe("03000004" + "02010000" + "78797a");
  expect(hex(encodeFrame(FrameType.end, 0xffff_ffff))).toBe("00000005" + "ffffffff");
  expect(hex(encodeCredit(1, 65_537))).toBe("04000008" + "01000000" + "01000100");
  expect(hex(encodeReset(1, 3))).toBe("08000006" + "01000000" + "0000000000000840");
  const token = "00112233445566778899aabbccddeeff";
  const text = Buffer.from(token, "hex").toString("base64url");
  expect(hex(encodeMove(1, text, 258))).toBe(`1400000e01000000${token}02010000`);
  expect(hex(encodeResume(1, text))).toBe(`1000000f01000000${token}`);
  expect(decodeMove(encodeMove(1, text, 258).subarray(8))).toEqual({ token: text, worker: 258 });
  expect(decodeResume(encodeResume(1, text).subarray(8))).toBe(text);
  expect([decodeMove(Buffer.alloc(19)), decodeResume(Buffer.alloc(15))]).toEqual([undefined, undefined]);
});

test("what a credit and a reset say; nonsense says nothing", () => {
  expect(decodeCredit(encodeCredit(1, 7).subarray(8))).toBe(7);
  expect(decodeReset(encodeReset(1, 2 ** 40).subarray(8))).toBe(2 ** 40);
  expect(decodeCredit(Buffer.from("x"))).toBe(0);
  for (const value of [Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY]) {
    const payload = Buffer.alloc(8);
    payload.writeDoubleLE(value);
    expect(decodeReset(payload)).toBe(0);
  }
});

test("where the bytes are cut makes no difference", () => {
  const type = fc.constantFrom(...Object.values(FrameType));
  const payload = fc.string({ unit: "binary-ascii", maxLength: 300 });
  const frames = fc.array(fc.tuple(type, fc.nat(0xffff_ffff), payload), { maxLength: 8 });
  fc.assert(
    fc.property(frames, fc.array(fc.nat(3_000)), (sent, stops) => {
      const bytes = sent.map(([kind, stream, text]) =>
        encodeFrame(kind, stream, Buffer.from(text, "latin1")),
      );
      const whole = (list: Frame[]) => {
        const joined: Frame[] = [];
        for (const [kind, stream, text] of list) {
          const last = joined.at(-1);
          const isMore = kind === FrameType.data && last?.[0] === kind && last[1] === stream;
          if (isMore) last[2] += text;
          else if (kind !== FrameType.data || text !== "") joined.push([kind, stream, text]);
        }
        return joined;
      };
      const result = read(Buffer.concat(bytes), stops);
      expect(result.ok).toBe(true);
      expect(whole(result.frames)).toEqual(whole(sent));
    }),
  );
});

test("nothing throws, and what is not a frame is refused", () => {
  fc.assert(
    fc.property(
      fc.uint8Array(),
      fc.array(fc.nat(100)),
      (bytes, stops) => void read(Buffer.from(bytes), stops),
    ),
  );
  expect(read(Buffer.from("GET / HTTP/1.1\r\n\r\n")).ok).toBe(false);
  const long = encodeFrame(FrameType.data, 1);
  long.writeUIntLE(MAX_PAYLOAD_BYTES + 1, 0, 3);
  expect(read(long).ok).toBe(false);
  for (const type of [0, 17, 255]) expect(read(Buffer.of(0, 0, 0, type, 0, 0, 0, 0)).ok).toBe(false);
});
