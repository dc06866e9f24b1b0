/** The harness itself: what is missing is named, what fails fails at once, and nothing is left behind. */
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import {
  Changes,
  findPrlimit,
  Program,
  RawSocket,
  runProgram,
  within,
  withoutDescriptors,
} from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { startsClusters } from "./after-each.js";

const node = (script: string) => ["-e", script];

describe("waiting", () => {
  test("says what was missing, as it is when the time is over", async () => {
    let seen = 0;
    const missing = () => `third tick (${seen} seen)`;
    const waiting = within(new Promise(() => {}), missing, 20);
    seen = 2;
    await expect(waiting).rejects.toThrow("no third tick (2 seen) within 20 ms");
  });

  test("ends with what is found, and with what is thrown", async () => {
    const changes = new Changes();
    let state: number | undefined;
    const found = changes.until("state", () => state);
    const failed = changes.until("state", () => {
      if (state === 0) throw new Error("never");
      return false;
    });
    changes.tell();
    state = 0;
    changes.tell();
    expect(await found).toBe(0);
    await expect(failed).rejects.toThrow("never");
  });
});

describe("a program", () => {
  test("has output and an exit code", async () => {
    const script =
      'process.stdin.on("data", (text) => { console.log("<" + text + ">"); console.error("!"); process.exit(3) })';
    expect(await runProgram(process.execPath, node(script), { input: "hello" })).toEqual({
      code: 3,
      signal: null,
      stdout: "<hello>\n",
      stderr: "!\n",
    });
  });

  test("that ends makes those fail who wait for its output, and shows that", async () => {
    const program = Program.node(node('console.log("one"); process.exitCode = 1'));
    await expect(program.line(/^two$/)).rejects.toThrow(/ended: no line \/\^two\$\/.*one/s);
    expect(await program.end()).toEqual({ code: 1, signal: null });
  });

  test("that does not exist is told", async () => {
    await expect(runProgram("/nowhere/at-all")).rejects.toThrow("ENOENT");
  });

  test("is closed with what it has started", async () => {
    const sleeper = "setInterval(() => {}, 1e6)";
    const script = `require("child_process").spawn(process.execPath, ["-e", "${sleeper}"], { stdio: "inherit" });
      console.log("started"); ${sleeper}`;
    const program = Program.node(node(script));
    await program.line(/^started$/);
    await program.close();
    // Its output is held by nobody.
    expect((await program.end()).signal).toBe("SIGKILL");
  });
});

describe.skipIf(findPrlimit() === undefined)("a process without descriptors", () => {
  const limitOf = (pid: number) =>
    /^Max open files +(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, "utf8"))?.[1];

  test("has them again when what was done meanwhile fails, which is what is told", async () => {
    const program = Program.node(node("setInterval(() => {}, 1e6)"));
    try {
      const before = limitOf(program.pid);
      const failing = withoutDescriptors(program.pid, async () => {
        expect(limitOf(program.pid)).toBe("3");
        throw new Error("of the test");
      });
      await expect(failing).rejects.toThrow("of the test");
      expect(limitOf(program.pid)).toBe(before);
    } finally {
      await program.close();
    }
  });

  test("may end meanwhile", async () => {
    const program = Program.node(node("setInterval(() => {}, 1e6)"));
    await withoutDescriptors(program.pid, () => program.close());
  });
});

describe("a raw socket", () => {
  test("gives the bytes that have come, and says so when there are no more", async () => {
    const server = createServer((socket) => socket.end("\xff\r\nbye", "latin1")).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    try {
      const raw = await RawSocket.open(port);
      expect(await raw.until("\r\n")).toContain("\xff");
      await expect(raw.until("welcome")).rejects.toThrow(/^closed: no welcome on .* it got "ÿ\\r\\nbye"/);
      expect(await raw.whole()).toBe("\xff\r\nbye");
    } finally {
      server.close();
    }
  });
});

describe("a cluster", () => {
  const start = startsClusters({ adapter: false });

  test("sets up the workers of the start and those that are forked later, before they take connections", async () => {
    const cluster = await start({
      setUpWorker: ({ httpServer }) =>
        httpServer.on("request", (request, response) => {
          if (request.url === "/") response.end("set up");
        }),
    });
    const { a, b } = cluster;
    await Promise.all([a.kill(), b.kill()]);
    expect(cluster.workers).toEqual([]);
    const fresh = await cluster.fork();
    expect(await (await fetch(cluster.url)).text()).toBe("set up");
    expect(cluster.workers).toEqual([fresh]);
    expect(cluster.a).toBe(a);
    expect(() => cluster.c).toThrow("no worker c: 2 were started");
  });

  test("throws what its processes throw, with the code", async () => {
    const { a } = await start();
    const failed = a.run(async (ctx) => {
      const { readFile } = (await ctx.import("node:fs")).promises;
      await readFile("/nowhere/at-all");
    });
    await expect(failed).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("ends the waits for a process that is gone, and says which one", async () => {
    const { a } = await start();
    const [event, answer] = [a.next("never"), a.run(() => new Promise(() => {}))];
    const ends = Promise.allSettled([event, answer]);
    await a.kill();
    for (const end of await ends) {
      expect(end).toMatchObject({ reason: { message: `worker ${a.workerId} (pid ${a.pid}) is gone` } });
    }
  });

  test("has workers that stand still once stop() is done, and go on", async () => {
    const { a, b } = await start();
    await a.stop();
    const late = a.run(() => "late");
    expect(await Promise.race([late, b.run(() => "other")])).toBe("other");
    await a.resume();
    expect(await late).toBe("late");
  });
});
