import { describe, expect, test } from "vitest";
import { Responder } from "../../dist/member/responder.js";
import { ResponseFlag } from "../../dist/wire/frame.js";
import { packValue, unpackValue } from "../../dist/wire/values.js";

const { final, error } = ResponseFlag;

function start(maxBytes = 1_000) {
  const sent: [flags: number, value?: unknown][] = [];
  const responder = new Responder(maxBytes, (flags, bytes) => {
    if (bytes && bytes.length + 12 > maxBytes) throw new Error("too large for a frame");
    sent.push(bytes ? [flags, unpackValue(Buffer.from(bytes))] : [flags]);
  });
  return { responder, sent };
}

describe("Responder", () => {
  test("gives any number of answers, and one last", () => {
    const { responder, sent } = start();
    responder.respond("one");
    responder.respondEncoded(packValue("two"));
    responder.finish("three");
    expect(sent).toEqual([
      [0, "one"],
      [0, "two"],
      [final, "three"],
    ]);
  });

  test.each([
    ["an answer", (responder: Responder) => responder.finish("last")],
    ["an end", (responder: Responder) => responder.end()],
    ["a failure", (responder: Responder) => responder.fail(new Error("why"))],
  ])("says nothing after %s, whatever it is asked to", (_, last) => {
    const { responder, sent } = start();
    last(responder);
    expect(sent).toHaveLength(1);
    responder.respond(1);
    responder.respondEncoded(packValue(1));
    responder.finish(Symbol("not even looked at"));
    responder.end();
    responder.fail(new Error("afterwards"));
    expect(sent).toHaveLength(1);
    expect((sent[0]?.[0] as number) & final).toBe(final);
  });

  test("can answer properly after an answer that could not be sent", () => {
    const { responder, sent } = start();
    expect(() => responder.finish(Symbol("s"))).toThrow(
      expect.objectContaining({ code: "HOLDFAST_ERR_UNSERIALIZABLE" }),
    );
    expect(() => responder.finish("x".repeat(1_001))).toThrow(
      expect.objectContaining({ code: "HOLDFAST_ERR_MESSAGE_TOO_LARGE" }),
    );
    // It fits, and the frame around it does not.
    expect(() => responder.finish("x".repeat(996))).toThrow("too large for a frame");
    responder.finish("proper");
    expect(sent).toEqual([[final, "proper"]]);
  });

  test("an answer that is given while another one is looked at is the last", () => {
    const { responder, sent } = start();
    responder.finish({
      get inner() {
        responder.finish("first");
        return 1;
      },
    });
    expect(sent).toEqual([[final, "first"]]);
  });

  test.each([
    [new Error("why"), "why"],
    [new Error("long ".repeat(10_000)), "long ".repeat(200)],
    [null, "null"],
    [Object.create(null), expect.any(String)],
    ["text", "text"],
    [
      new (class extends Error {
        override get message(): string {
          throw new Error("no");
        }
      })(),
      expect.any(String),
    ],
  ])("tells of a failure in few words, whatever was thrown", (thrown, text) => {
    const { responder, sent } = start(10_000);
    responder.fail(thrown);
    expect(sent).toEqual([[final | error, text]]);
  });
});
