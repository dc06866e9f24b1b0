/** The tests of recovery over a Unix socket. */
import { describe } from "vitest";
import { withHubOptions } from "../harness/after-each.js";

withHubOptions({ link: "unix" });

describe("over a Unix socket", async () => {
  await import("../recovery.test.js");
});
describe("over a Unix socket, when something fails", async () => {
  await import("../recovery-faults.test.js");
});
