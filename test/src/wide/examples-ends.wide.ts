/** How examples end: by which signal to whom, at which moment, and started by npm. */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { findProgram, Program, RawSocket } from "@holdfast/harness";
import { afterEach, describe, expect, it } from "vitest";
import { connectAcross, everyoneTalks } from "../harness/conversation.js";
import { Example, type ExampleClient } from "../harness/example.js";

/** A container in a nutshell: a process that is number 1 in a world of its own. */
const UNSHARE = findProgram({
  name: "unshare, for root,",
  programs: process.getuid?.() === 0 ? ["unshare"] : [],
  variable: "UNSHARE_PATH",
  cure: "Run the tests as root; it is in Debian's package util-linux.",
});

let example: Example;

afterEach(async () => {
  // Some tests start other programs.
  await (example as Example | undefined)?.stop();
});

/** Waits until nobody listens there any more. */
async function untilRefused(port: number): Promise<void> {
  for (;;) {
    const socket = new RawSocket(port);
    const isRefused = await new Promise<boolean>((resolve) => {
      socket.socket.once("connect", () => resolve(false)).once("error", () => resolve(true));
    });
    socket.close();
    if (isRefused) return;
  }
}

/** Nothing was written to stderr while the example was in use. */
function expectNoComplaint(): void {
  expect(example.stderr).toBe("");
}

describe("the end of an example", () => {
  const clean = { code: 0, signal: null };

  /** Ctrl+C and a terminal that is closed reach every process of the group, `kill` only the primary. */
  const send = (signal: NodeJS.Signals, toGroup: boolean) =>
    process.kill(toGroup ? -example.pid : example.pid, signal);

  it.each([
    ["SIGTERM", "the primary"],
    ["SIGINT", "the group"],
    ["SIGHUP", "the primary"],
    ["SIGHUP", "the group"],
  ] as const)("the quick start ends with everything it started on %s to %s", async (signal, target) => {
    example = await Example.start({ script: "cluster-esm/server.js" });
    const client = await example.connect("websocket");
    const left = new Promise((resolve) => client.socket.once("disconnect", resolve));
    send(signal, target === "the group");
    expect(await example.end()).toEqual(clean);
    // Its client would come back to a cluster that is started anew.
    expect(await left).toBe("transport close");
    expectNoComplaint();
  });

  it.each(["cluster-cjs/server.js", "express/server.js", "recluster/primary.js"])(
    "%s ends as well",
    async (script) => {
      example = await Example.start({ script });
      await connectAcross(example);
      send("SIGTERM", false);
      expect(await example.end()).toEqual(clean);
      expectNoComplaint();
    },
  );

  it("an upload that has begun is finished", async () => {
    example = await Example.start({ script: "express/server.js" });
    const file = randomBytes(100_000);
    const upload = new RawSocket(example.port);
    upload.write(
      `POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${file.length}\r\n\r\n`,
    );
    await upload.until("100 Continue");
    upload.write(file.subarray(0, 1_000));
    send("SIGTERM", false);
    await untilRefused(example.port);
    upload.write(file.subarray(1_000));
    expect(await upload.whole()).toContain(createHash("sha256").update(file).digest("hex"));
    expect(await example.end()).toEqual(clean);
  });

  it("a worker that is ended alone is replaced, and its clients go on", async () => {
    example = await Example.start({ script: "cluster-esm/server.js" });
    const clients = await connectAcross(example);
    const ended = (clients[0] as ExampleClient).worker;
    const moved = clients
      .filter(({ worker }) => worker === ended)
      .map((client) => client.until("another worker", () => client.worker !== ended));
    process.kill(ended, "SIGTERM");
    await example.line(new RegExp(`^worker ${ended} is gone$`));
    await Promise.all(moved);
    await everyoneTalks(clients, "after");
    expectNoComplaint();
  });

  it("ends before its workers are ready, too", async () => {
    example = new Example({ script: "cluster-esm/server.js", env: { WORKERS: "4" } });
    await example.line(/^worker \d+ is up$/);
    send("SIGTERM", false);
    expect(await example.end()).toEqual(clean);
  });

  it.runIf(UNSHARE)("as process 1 of a container, it hears SIGTERM", async () => {
    const script = fileURLToPath(new URL("../../../examples/cluster-esm/server.js", import.meta.url));
    const args = ["--pid", "--fork", "--kill-child", process.execPath, script];
    const container = new Program(UNSHARE as string, args, { env: { PORT: "0", WORKERS: "2" } });
    try {
      await container.line(/^port \d+$/);
      const [first] = readFileSync(`/proc/${container.pid}/task/${container.pid}/children`, "utf8").split(
        " ",
      );
      process.kill(Number(first), "SIGTERM");
      expect(await container.end()).toEqual(clean);
    } finally {
      await container.close();
    }
  });
});

describe("npm start", () => {
  const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
  /** In the root it builds first. */
  const BUILD_MS = 180_000;
  const clean = { code: 0, signal: null };

  it.each([
    ["", /^Chat on /m, "SIGTERM", clean],
    ["examples/chat", /^Chat on /m, "SIGTERM", clean],
    ["examples/chat", /^Chat on /m, "SIGINT", clean],
    // npm does nothing about it: it ends, and the chat follows.
    ["examples/chat", /^Chat on /m, "SIGHUP", { code: null, signal: "SIGHUP" }],
    ["examples/cluster-esm", /^port \d+$/m, "SIGTERM", clean],
    ["examples/cluster-esm", /^port \d+$/m, "SIGINT", clean],
  ] as const)(
    "in ./%s, ready with %s, leaves nothing behind on %s",
    { timeout: BUILD_MS },
    async (folder, ready, signal, exit) => {
      const env = { HOST: "127.0.0.1", PORT: "0", WORKERS: "2" };
      const npm = new Program("npm", ["start"], { cwd: ROOT + folder, env });
      try {
        await npm.until(String(ready), () => ready.test(npm.stdout), BUILD_MS);
        npm.signal(signal);
        expect(await npm.end()).toEqual(exit);
      } finally {
        await npm.close();
      }
    },
  );
});
