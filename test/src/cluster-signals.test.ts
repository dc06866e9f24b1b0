/** Signals: to the primary, to the whole group, as process 1, at a terminal; and exit codes. */
import { readFileSync } from "node:fs";
import { findProgram, isRoot, NOBODY, Program, RawSocket, skipsWithout, within } from "@holdfast/harness";
import { afterEach, describe, expect, it, test } from "vitest";
import { closedAfterEach, startsSupervised } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import { APP, HOLDFAST, type Home } from "./harness/supervised.js";

/** A container in a nutshell: a process that is number 1 in a world of its own. */
const UNSHARE = findProgram({
  name: "unshare",
  programs: ["unshare"],
  variable: "UNSHARE_PATH",
  paths: process.getuid?.() === 0 ? ["/usr/bin/unshare"] : [],
  cure: "It is in Debian's package util-linux, and works for root.",
});
/** A terminal of its own. */
const SCRIPT = findProgram({
  name: "script",
  programs: ["script"],
  variable: "SCRIPT_PATH",
  paths: ["/usr/bin/script"],
  cure: "It is in Debian's package bsdutils.",
});
skipsWithout(isRoot, "Only root can be somebody else. Run the tests as root.");

const { start, home } = startsSupervised();
const clients = closedAfterEach(new Clients());
const programs: Program[] = [];
const DONE = { code: 0, signal: null };

afterEach(async () => {
  for (const program of programs.splice(0)) await program.close();
});

/** `holdfast run`, as the head of a group of its own. */
function run(own: Home, ...args: string[]): Program {
  const program = Program.node([HOLDFAST, "run", APP, "--port", "0", "-w", "2", ...args], {
    env: { ...own.env, HOLDFAST_CONTROL: undefined },
    cwd: own.directory,
  });
  programs.push(program);
  return program;
}

const READY = /^\S+ \(pid (\d+)\) runs 2 workers on http:\/\/localhost:(\d+)$/;

describe("SIGTERM and SIGINT", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s to the primary finishes what has begun, code 0",
    async (signal) => {
      const cluster = await start();
      const client = await clients.connect(cluster.url);
      const left = new Promise((resolve) => client.socket.once("disconnect", resolve));
      const finished = Promise.all(cluster.workers.map((worker) => worker.next("onStop")));
      process.kill(cluster.primary.pid, signal);
      expect(await cluster.end()).toEqual(DONE);
      await finished;
      expect(await left).toBe("transport close");
      expect(cluster.output).toBe("");
    },
  );

  test("a request that has begun is answered, and no new connection is taken", async () => {
    const cluster = await start();
    for (const worker of cluster.workers) {
      await worker.run((ctx) => {
        ctx.httpServer.removeAllListeners("request");
        ctx.httpServer.on("request", (request, response) => {
          ctx.emit("asked");
          request.resume().on("end", () => response.end("finished"));
        });
      });
    }
    const asked = Promise.race(cluster.workers.map((worker) => worker.next("asked")));
    const request = new RawSocket(cluster.port);
    request.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
    await asked;
    const stopping = cluster.primary.next("stopping");
    process.kill(cluster.primary.pid, "SIGTERM");
    await stopping;
    const late = new RawSocket(cluster.port);
    const refused = new Promise((resolve) => late.socket.once("error", resolve));
    expect(await refused).toMatchObject({ code: "ECONNREFUSED" });
    request.write("cd");
    expect(await request.whole()).toContain("finished");
    expect(await cluster.end()).toEqual(DONE);
  });

  test("what a listener of the application orders at the same signal comes before", async () => {
    const cluster = await start({ options: { stopTimeout: 500 } });
    const worker = cluster.worker(0);
    await worker.run((ctx) => {
      process.on("message", (raw: Record<string, number[]>) => {
        const [kind, timeoutMs] = raw["holdfast:cluster"] ?? [];
        if (kind === 3) ctx.emit("drain", timeoutMs);
      });
    });
    await cluster.primary.run(async (ctx) => {
      const running = await ctx.cluster();
      process.on("SIGTERM", () => void running.stop({ timeout: 60_000 }));
    });
    const told = worker.next<number>("drain");
    process.kill(cluster.primary.pid, "SIGTERM");
    expect(await told).toBeGreaterThan(10_000);
    expect(await cluster.end()).toEqual(DONE);
  });

  test("one more signal when all is done changes nothing", async () => {
    const cluster = await start();
    await cluster.primary.run(async (ctx) => {
      (await ctx.cluster()).on("stopped", () => process.kill(process.pid, "SIGTERM"));
    });
    process.kill(cluster.primary.pid, "SIGTERM");
    expect(await cluster.end()).toEqual(DONE);
  });

  test.skipIf(!isRoot)("one that cannot remove its control socket any more ends like others", async () => {
    const cluster = await start();
    await cluster.primary.run((_, uid) => {
      process.setuid?.(uid);
      process.on("exit", () => console.log("the application's own end"));
    }, NOBODY);
    process.kill(cluster.primary.pid, "SIGTERM");
    expect(await cluster.end()).toEqual(DONE);
    expect(cluster.output).toContain("the application's own end");
  });

  test("what does not end within stopTimeout is killed, code 3", async () => {
    const cluster = await start({ options: { stopTimeout: 500 } });
    await cluster.worker(0).stop();
    process.kill(cluster.primary.pid, "SIGTERM");
    expect(await cluster.end()).toEqual({ code: 3, signal: null });
    expect(cluster.output).toContain("did not end in time and was killed");
  });

  test("a second one does not wait", async () => {
    const cluster = await start({ options: { stopTimeout: 600_000 } });
    await cluster.worker(0).stop();
    const stopping = cluster.primary.next("stopping");
    process.kill(cluster.primary.pid, "SIGINT");
    await stopping;
    // The same signal within half a second is the same Ctrl+C.
    await cluster.primary.run(() => new Promise((resolve) => setTimeout(resolve, 700)));
    process.kill(cluster.primary.pid, "SIGINT");
    expect(await cluster.end()).toEqual({ code: 3, signal: null });
  });

  it.each(["SIGINT", "SIGTERM"] as const)("%s to the whole group ends all the same", async (signal) => {
    const program = run(home());
    await program.line(READY);
    process.kill(-program.pid, signal);
    expect(await program.end()).toEqual(DONE);
    expect(program.stderr).toBe("");
  });

  it.each(["SIGINT", "SIGHUP"] as const)(
    "%s to the group amid joinCluster() ends no worker",
    async (signal) => {
      const own = home();
      own.start({ signalAtJoin: signal });
      const program = run(own);
      await program.line(READY);
      program.signal("SIGTERM");
      expect(await program.end()).toEqual(DONE);
      expect(program.stderr).toBe("");
    },
  );

  it("before the workers are ready ends, too", async () => {
    const own = home();
    own.start({ waitsMs: 60_000 });
    const program = run(own);
    await program.until("control socket", () => true);
    // Its handlers are there before the first worker is.
    await untilStatus(own);
    program.signal("SIGTERM");
    expect(await program.end()).toEqual(DONE);
  });
});

/** Waits until the cluster answers. */
async function untilStatus(own: Home): Promise<void> {
  while ((await own.holdfast("status")).code !== 0);
}

describe("SIGHUP", () => {
  it("reloads", async () => {
    const own = home();
    const program = run(own);
    await program.line(READY);
    program.signal("SIGHUP");
    await program.writes("reloaded 2 workers");
    program.signal("SIGTERM");
    expect(await program.end()).toEqual(DONE);
  });

  it.runIf(SCRIPT)("stops when the terminal that it was started in is gone", async () => {
    const own = home();
    const command = `${process.execPath} ${HOLDFAST} run ${APP} --port 0 -w 1`;
    const terminal = new Program(SCRIPT as string, ["-qfec", command, "/dev/null"], {
      env: { ...own.env, HOLDFAST_CONTROL: undefined },
      cwd: own.directory,
    });
    programs.push(terminal);
    const [, pid] = await terminal.until("ready line", () =>
      terminal.output.match(/\(pid (\d+)\) runs 1 workers/),
    );
    terminal.signal("SIGKILL");
    await untilGone(Number(pid));
    expect((await own.holdfast("status")).code).toBe(4);
  });
});

/** A process that is no child of this one has no event for its end. */
async function untilGone(pid: number): Promise<void> {
  const isThere = () => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };
  const gone = (async () => {
    while (isThere()) await new Promise((resolve) => setTimeout(resolve, 20));
  })();
  await within(gone, `end of process ${pid}`);
}

describe("where it runs", () => {
  it.runIf(UNSHARE)("as process 1 of a container, SIGTERM stops it, and SIGHUP reloads", async () => {
    const own = home();
    const args = [
      "--pid",
      "--fork",
      "--kill-child",
      process.execPath,
      HOLDFAST,
      "run",
      APP,
      "-p",
      "0",
      "-w",
      "1",
    ];
    const container = new Program(UNSHARE as string, args, {
      env: { ...own.env, HOLDFAST_CONTROL: undefined },
      cwd: own.directory,
    });
    programs.push(container);
    await container.line(/runs 1 workers/);
    const [first] = readFileSync(`/proc/${container.pid}/task/${container.pid}/children`, "utf8").split(" ");
    process.kill(Number(first), "SIGHUP");
    await container.writes("reloaded 1 workers");
    process.kill(Number(first), "SIGTERM");
    expect(await container.end()).toEqual(DONE);
  });
});
