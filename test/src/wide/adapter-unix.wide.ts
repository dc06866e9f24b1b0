/** Tests of the adapter that go over pipes elsewhere, over a Unix socket. */
import { describe } from "vitest";
import { withHubOptions } from "../harness/after-each.js";

withHubOptions({ link: "unix" });

describe("over a Unix socket, acknowledgements", async () => {
  await import("../adapter-acks.test.js");
});
describe("over a Unix socket, connections", async () => {
  await import("../adapter-connect.test.js");
});
describe("over a Unix socket, the emitter", async () => {
  await import("../adapter-emitter.test.js");
});
describe("over a Unix socket, interest", async () => {
  await import("../adapter-interest.test.js");
});
describe("over a Unix socket, joins that are on their way", async () => {
  await import("../adapter-late-joins.test.js");
});
describe("over a Unix socket, rooms", async () => {
  await import("../adapter-rooms.test.js");
});
