/** A cluster that a script of npm has started: it ends with npm, and with nothing that only looks like that. */
import { once } from "node:events";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { canRunAsNobody, findProgram, NOBODY, Program } from "@holdfast/harness";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { startsSupervised } from "./harness/after-each.js";
import { APP, HOLDFAST, type Home } from "./harness/supervised.js";

/** A shell that has a single command to run becomes that. */
const BASH = findProgram({
  name: "bash",
  programs: ["bash"],
  variable: "BASH_PATH",
  paths: ["/bin/bash"],
  cure: "It is in Debian's package bash.",
});
/** Elsewhere, the system tells nothing of other processes than the parent. */
const ON_LINUX = process.platform === "linux";

const RUN = `${process.execPath} ${HOLDFAST} run ${APP} -p 0 -w 1`;
const CONTROL = "control.sock";
/** The same, with a control socket whose place is known. */
const FOUND = `${RUN} --control ${CONTROL}`;
const READY = /\(pid (\d+)\) runs 1 workers/;
const GONE = "holdfast: npm, or a program between it and this process, is gone: the cluster stops\n";
const CLUSTER = pathToFileURL(join(HOLDFAST, "../../dist/bundle/index.js")).href;

const { home } = startsSupervised();
const programs: Program[] = [];

afterEach(async () => {
  for (const program of programs.splice(0)) {
    await program.close();
    // A failed test may leave one in a session of its own.
    const [, pid] = program.output.match(READY) ?? [];
    if (pid !== undefined && isThere(Number(pid))) process.kill(Number(pid), "SIGKILL");
  }
});

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

type Scripts = Readonly<Record<string, string>>;

/**
 * A package whose scripts are what people write.
 * @returns what runs them, and the environment of that: without the marks of what runs these tests
 */
function packageOf(own: Home, scripts: Scripts, env: NodeJS.ProcessEnv = {}) {
  writeFileSync(join(own.directory, "package.json"), JSON.stringify({ name: "x", scripts }));
  const marks = Object.keys(process.env).filter((name) => name.startsWith("npm_"));
  const without = Object.fromEntries(marks.map((name) => [name, undefined]));
  const quiet = { npm_config_update_notifier: "false" };
  return {
    env: { ...without, ...quiet, ...own.env, HOLDFAST_CONTROL: undefined, ...env },
    cwd: own.directory,
  };
}

/** `npm start`, with the shell of npm in between: it has more to do than one command. */
function npm(own: Home, start: string | Scripts = `${RUN}; true`, env: NodeJS.ProcessEnv = {}): Program {
  const program = new Program(
    "npm",
    ["start"],
    packageOf(own, typeof start === "string" ? { start } : start, env),
  );
  programs.push(program);
  return program;
}

/** Its output ends with the last process of it. */
async function endsWithNpm(own: Home, program: Program): Promise<void> {
  await program.end();
  expect((await own.holdfast("status")).code).toBe(4);
}

async function goesOn(own: Home, program: Program): Promise<void> {
  const path = join(own.directory, CONTROL);
  await looksAfterItsSocket(own, program);
  expect((await own.holdfast("stop", "--control", path)).code).toBe(0);
  await program.end();
  expect(program.output).not.toContain(GONE);
}

/**
 * Settles when the cluster has looked after its control socket twice more, once a second: whatever it does twice a second
 * has had its turn in between.
 */
async function looksAfterItsSocket(own: Home, program: Program): Promise<void> {
  const looks = () => program.output.split("has been made anew").length - 1;
  const before = looks();
  for (const times of [1, 2]) {
    rmSync(join(own.directory, CONTROL));
    await program.until("control socket made anew", () => looks() === before + times);
  }
}

/** A program that starts the command, and ends as soon as the file `go` is there. */
function launcher(own: Home, command: string, options: object): string {
  const spawning = { stdio: "inherit", ...options };
  writeFileSync(
    join(own.directory, "launcher.cjs"),
    `const child = require("child_process").spawn("sh", ["-c", ${JSON.stringify(command)}], ${JSON.stringify(spawning)});
    const timer = setInterval(() => {
      if (!require("fs").existsSync("go")) return;
      clearInterval(timer);
      child.unref();
    }, 20);`,
  );
  return `${process.execPath} launcher.cjs`;
}

function letLauncherGo(own: Home): void {
  writeFileSync(join(own.directory, "go"), "");
}

describe("the end of npm", () => {
  it.each(["SIGTERM", "SIGHUP"] as const)(
    "by %s, or that of its shell, stops the cluster",
    async (signal) => {
      const own = home();
      const program = npm(own);
      await program.line(READY);
      program.signal(signal);
      await endsWithNpm(own, program);
    },
  );

  it("stops it, however many programs are in between, and is told", async () => {
    const own = home();
    const program = npm(own, `sh -c '${RUN}; true'; true`);
    await program.line(READY);
    program.signal("SIGKILL");
    await endsWithNpm(own, program);
    expect(program.stderr).toBe(GONE);
  });

  it("stops what `--watch` has started, and is told", async () => {
    const own = home();
    const program = npm(own, `${RUN} --watch; true`);
    await program.line(/watching for changes/);
    program.signal("SIGKILL");
    await endsWithNpm(own, program);
    expect(program.stderr).toBe(GONE);
  });

  it.runIf(ON_LINUX).each(["npm run serve", "npm run serve; true", "npx holdfast-here"])(
    "stops it where the script is %j, which starts another one",
    async (start) => {
      const own = home();
      const bin = join(own.directory, "node_modules/.bin");
      mkdirSync(bin, { recursive: true });
      writeFileSync(join(bin, "holdfast-here"), `#!/bin/sh\n${RUN}\n`, { mode: 0o755 });
      const program = npm(own, { start, serve: RUN });
      await program.line(READY);
      program.signal("SIGKILL");
      await endsWithNpm(own, program);
    },
  );

  it.runIf(ON_LINUX)("stops it where npm itself has a session of its own, below another npm", async () => {
    const own = home();
    const start = launcher(own, "npm run serve", { detached: true });
    const program = npm(own, { start, serve: `echo npm $PPID; ${RUN}; true` });
    const [, inner] = await program.line(/^npm (\d+)$/);
    await program.line(READY);
    process.kill(Number(inner), "SIGKILL");
    await program.until("the reason", () => program.stderr.includes(GONE));
    letLauncherGo(own);
    await endsWithNpm(own, program);
  });

  it.runIf(ON_LINUX)("before startCluster() is called stops it, too", async () => {
    const own = home();
    writeFileSync(
      join(own.directory, "server.mjs"),
      `import { existsSync } from "node:fs";
      import { setTimeout } from "node:timers/promises";
      import { startCluster } from ${JSON.stringify(CLUSTER)};
      console.log("loaded");
      while (!existsSync("go")) await setTimeout(20);
      await startCluster({ worker: ${JSON.stringify(APP)}, port: 0, workers: 1 }).catch(({ code }) => console.log(code));`,
    );
    const program = npm(own, `${process.execPath} server.mjs; true`);
    await program.line(/^loaded$/);
    program.signal("SIGKILL");
    await program.exited;
    letLauncherGo(own);
    await endsWithNpm(own, program);
    expect(program.stderr).toBe(GONE);
  });

  it.runIf(BASH)("stops it where npm's shell becomes the command", async () => {
    const own = home();
    const program = npm(own, RUN, { npm_config_script_shell: BASH });
    await program.line(READY);
    program.signal("SIGKILL");
    await endsWithNpm(own, program);
  });
});

describe("signals", () => {
  /** Workers that end when the test closes the connection that they open then. */
  async function gateFor(own: Home): Promise<{ opened: Promise<unknown>; open(): void }> {
    const path = join(own.directory, "gate.sock");
    const waiting = new Set<Socket>();
    const server = createServer((socket) => waiting.add(socket.on("error", () => {})));
    onTestFinished(() => void server.close());
    server.listen(path);
    await once(server, "listening");
    own.start({ stopsAt: path });
    const opened = once(server, "connection");
    const open = () => {
      for (const socket of waiting) socket.destroy();
    };
    return { opened, open };
  }

  it("count once, if it is Ctrl+C, which comes twice", async () => {
    const own = home();
    const program = npm(own);
    await program.line(READY);
    process.kill(-program.pid, "SIGINT");
    await program.end();
    // A second signal that counts would have killed the worker.
    expect(program.output).not.toContain("killed");
    expect((await own.holdfast("status")).code).toBe(4);
  });

  it.each([
    ["the end of npm after one", "signal", "npm"],
    ["one after the end of npm", "npm", "signal"],
  ] as const)("hurry nothing unless they come twice: %s does not", async (_, first, second) => {
    const own = home();
    const gate = await gateFor(own);
    const program = npm(own, `${FOUND} --stop-timeout 600000; true`);
    const [, pid] = await program.line(READY);
    const orders = {
      signal: () => process.kill(Number(pid), "SIGTERM"),
      npm: () => program.signal("SIGKILL"),
    };
    orders[first]();
    await gate.opened;
    // The same signal within half a second is the same Ctrl+C.
    await looksAfterItsSocket(own, program);
    orders[second]();
    await looksAfterItsSocket(own, program);
    gate.open();
    await program.end();
    expect(program.output).not.toContain("killed");
  });
});

describe("what is no end of npm", () => {
  /** What has started the command ends, as a login shell does. */
  async function goesOnWithoutLogin(
    start: string,
    [command, ...args]: readonly [string, ...string[]],
    env: NodeJS.ProcessEnv = {},
  ): Promise<void> {
    const own = home();
    const spawn = `require("child_process").spawn("${command}", ${JSON.stringify(args)}, { stdio: "inherit" })`;
    const login = Program.node(["-e", spawn], packageOf(own, { start }, env));
    programs.push(login);
    await login.line(READY);
    login.signal("SIGKILL");
    await login.exited;
    await goesOn(own, login);
  }

  it.runIf(BASH)("that of what has started npm, whose shell becomes the command", async () => {
    await goesOnWithoutLogin(FOUND, ["npm", "start"], { npm_config_script_shell: BASH });
  });

  it("that of what has started npm, with a shell in between", async () => {
    await goesOnWithoutLogin(`${FOUND}; true`, ["npm", "start"]);
  });

  it("that of something else", async () => {
    const command = `npm_lifecycle_event=start ${FOUND}; true`;
    await goesOnWithoutLogin("", ["sh", "-c", command]);
  });

  it.runIf(ON_LINUX)(
    "that of npm, for a session of its own, as below a daemon like PM2's that a script has started",
    async () => {
      const own = home();
      const daemon = `exec ${process.execPath} -e 'require("child_process").spawn("sh", ["-c", "exec ${FOUND}"], { stdio: "inherit" })'`;
      const program = npm(own, launcher(own, daemon, { detached: true }));
      await program.line(READY);
      letLauncherGo(own);
      await program.exited;
      await goesOn(own, program);
    },
  );

  it.runIf(ON_LINUX && canRunAsNobody())(
    "that of another user's process, for a session of its own",
    async () => {
      const own = home();
      chmodSync(own.directory, 0o777);
      const somebody = { detached: true, uid: NOBODY, gid: NOBODY };
      const program = npm(own, launcher(own, `exec ${FOUND}`, somebody));
      await program.line(READY);
      letLauncherGo(own);
      await program.exited;
      await goesOn(own, program);
    },
  );
});
