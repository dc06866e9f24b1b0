/** `npx holdfast` and the control socket: who may use it, what it says, and what hostile input does to it. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import type { ClusterStatus } from "@holdfast/cluster";
import { canRunAsNobody, NOBODY, Program, runProgram, within } from "@holdfast/harness";
import { describe, expect, onTestFinished, test } from "vitest";
import { startsSupervised } from "./harness/after-each.js";
import { APP, HOLDFAST, type Home, type Supervised } from "./harness/supervised.js";

const { start, launch, home } = startsSupervised();
const UID = process.getuid?.() ?? 0;

/** Where the control sockets of a user are. */
const socketsOf = (own: Home) => join(own.directory, `holdfast-${UID}`);

/** Sends bytes to a control socket, and gives all that comes back. */
async function send(path: string, bytes: string | Buffer, ends = false): Promise<string> {
  const socket = connect(path);
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const closed = new Promise<void>((resolve) => socket.on("error", () => {}).once("close", () => resolve()));
  if (ends) socket.end(bytes);
  else socket.write(bytes);
  await within(closed, "end of the control connection");
  return text;
}

/** Two places for the control sockets of another user, and how to run programs as that one. */
function placesOfNobody() {
  const own = home();
  chmodSync(own.directory, 0o755);
  const [first = "", second = ""] = ["run", "temporary"].map((name) => {
    const place = join(own.directory, name, `holdfast-${NOBODY}`);
    mkdirSync(place, { recursive: true });
    for (const each of [dirname(place), place]) {
      chownSync(each, NOBODY, NOBODY);
      chmodSync(each, 0o700);
    }
    return place;
  });
  const env = { ...own.env, XDG_RUNTIME_DIR: dirname(first), TMPDIR: dirname(second) };
  return { first, second, options: { uid: NOBODY, gid: NOBODY, cwd: "/", env } };
}

const closed = (directory: string) =>
  `You have closed ${directory} to yourself: run chmod u+rwx ${directory}.\n`;

/** Why a cluster does not start. */
function refusal(cluster: Supervised): Promise<{ code: string; message: string } | undefined> {
  return cluster.primary.run((ctx) =>
    ctx.cluster().then(
      () => undefined,
      ({ code, message }) => ({ code, message }),
    ),
  );
}

/** A service has no `XDG_RUNTIME_DIR`; a terminal of the same user has. */
function placesApart() {
  const own = home();
  const run = join(own.directory, "run");
  mkdirSync(run, { mode: 0o700 });
  return { own, run, service: { XDG_RUNTIME_DIR: undefined }, terminal: { XDG_RUNTIME_DIR: run } };
}

describe("the commands", () => {
  test("what a worker wrote last steers no terminal, and its characters are whole", async () => {
    const cluster = await start();
    await cluster.worker(0).run(() => {
      const [first, second] = [
        Buffer.from("\x1b[31mError: caf\xc3", "latin1"),
        Buffer.from("\xa9\x1b[0m\x1b]0;title\x07\b!\n", "latin1"),
      ];
      process.stderr.write(first, () =>
        setTimeout(() => process.stderr.write(second, () => process.exit(9)), 50),
      );
    });
    const lastWords = await cluster.primary.run(async (ctx) => {
      const running = await ctx.cluster();
      const last = () => running.status().slots.find(({ lastExit }) => lastExit)?.lastExit;
      while (!last()) await new Promise((resolve) => setTimeout(resolve, 50));
      return last()?.lastWords;
    });
    expect(lastWords).toMatch(/^Error: caf\u00e9/);
    const { stdout } = await cluster.home.holdfast("status");
    expect(stdout).toContain("Error: caf\u00e9");
    expect(stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  test("of a cluster: status, reload, scale, rebalance, stop", async () => {
    const cluster = await start({ options: { name: "api" } });
    const { home: own, port } = cluster;
    const status = await own.holdfast("status");
    expect(status).toMatchObject({ code: 0, stderr: "" });
    expect(status.stdout).toMatch(
      new RegExp(`^api \\(pid \\d+\\), running for .*http://127.0.0.1:${port}$`, "m"),
    );
    expect(status.stdout.match(/^\d +\d+ +ready /gm)?.length).toBe(2);

    const reload = await own.holdfast("reload");
    expect(reload).toMatchObject({ code: 0, stderr: "" });
    expect(reload.stdout.split("\n").slice(0, -2)).toEqual([
      "slot 0: starting",
      "slot 0: moving",
      "slot 0: draining",
      "slot 0: done (1 of 2 workers)",
      "slot 1: starting",
      "slot 1: moving",
      "slot 1: draining",
      "slot 1: done (2 of 2 workers)",
    ]);
    expect(reload.stdout).toMatch(
      /^Reloaded 2 workers in [\d.]+ s: 0 sessions moved, 0 connections closed\.$/m,
    );

    expect((await own.holdfast("scale", "1")).stdout).toBe(
      "Scaled from 2 to 1 workers: 0 sessions moved, 0 connections closed.\n",
    );
    expect((await own.holdfast("rebalance")).stdout).toContain(
      "0 sessions moved. The workers have 0 connections.",
    );
    const [json] = JSON.parse((await own.holdfast("status", "--json")).stdout) as ClusterStatus[];
    expect(json).toMatchObject({
      name: "api",
      state: "running",
      reloads: 1,
      slots: [{ slot: 0, state: "ready" }],
    });

    expect(await own.holdfast("stop")).toMatchObject({ code: 0, stdout: "Stopped api.\n", stderr: "" });
    expect(await cluster.end()).toEqual({ code: 0, signal: null });
    expect(await own.holdfast("stop")).toMatchObject({ code: 4, stderr: "No cluster of this user runs.\n" });
    expect(readdirSync(socketsOf(own))).toEqual([]);
  });

  test("a reload that is given up says why, code 1", async () => {
    const cluster = await start();
    cluster.home.start({ throws: "a broken version" });
    const { code, stderr } = await cluster.home.holdfast("reload");
    expect(code).toBe(1);
    expect(stderr).toContain("The new worker for slot 0 ended with exit code 1");
    expect(stderr).toContain("a broken version");
  });

  test.each([
    [[], "Usage: holdfast <command>"],
    [["restart"], 'There is no command "restart".'],
    [["__proto__"], 'There is no command "__proto__".'],
    [["run"], "Which file are the workers to run?"],
    [["run", ""], "Which file are the workers to run?"],
    [["run", "missing.js"], "There is no file"],
    [["run", dirname(APP)], "is a directory in which Node.js finds nothing to run"],
    [["run", APP, "--port", "80x"], '--port must be a whole number from 0 to 65535, not "80x".'],
    [
      ["run", APP, "--balance", "fair"],
      '--balance must be one of least-connection, round-robin, random, hash, not "fair".',
    ],
    [["run", APP, "--path", "x.sock", "--port", "1"], "takes the place of port and host"],
    [["run", APP, "--prot", "1"], "Unknown option '--prot'"],
    [["scale"], "How many workers?"],
    [["scale", "0"], "The number of workers must be a whole number from 1 to 512"],
    [["status", "--control", ""], "--control takes the path of a socket."],
    [["reload", "now"], "Unexpected argument 'now'."],
    [["stop", "--timeout", "soon"], "--timeout must be a whole number"],
  ])("%j is explained, code 2", async (args, text) => {
    const { code, stdout, stderr } = await home().holdfast(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(text);
  });

  test.each([
    ["--help"],
    ["run", "--help"],
    ["reload", "-h"],
    ["status", "--help"],
    ["help", "stop"],
    ["help", "toString"],
    ["help", "__proto__"],
  ])("%s %s shows how it is used", async (...args) => {
    const { code, stdout, stderr } = await home().holdfast(...args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^Usage: holdfast /);
  });

  test("of several clusters, one has to be named", async () => {
    const own = home();
    const first = await start({ home: own });
    const second = await start({ home: own });
    const names = [await first.status(), await second.status()].map(({ name }) => name);
    expect(names[1]).toBe(`${names[0]}-2`);
    const { code, stderr } = await own.holdfast("reload");
    expect(code).toBe(2);
    expect(stderr).toContain(`Several clusters run: ${names.join(", ")}.`);
    const both = JSON.parse((await own.holdfast("status", "--json")).stdout) as ClusterStatus[];
    expect(both.map(({ name }) => name).sort()).toEqual(names);
    expect((await own.holdfast("stop", "--name", names[1] as string)).code).toBe(0);
    // The other one has not heard of it.
    expect((await first.status()).slots.map(({ state }) => state)).toEqual(["ready", "ready"]);
    expect((await own.holdfast("status")).stdout).toMatch(new RegExp(`^${names[0]} `));
  });

  test("a name that is given is had by one cluster at a time", async () => {
    const own = home();
    await start({ home: own, options: { name: "api" } });
    expect(await refusal(await launch({ home: own, options: { name: "api" } }))).toMatchObject({
      code: "HOLDFAST_ERR_NAME_TAKEN",
      message: expect.stringContaining(join(socketsOf(own), "api.sock")),
    });
  });

  test("a name is had by one cluster, also where the other one's socket is in another place", async () => {
    const { own, service, terminal } = placesApart();
    const first = await start({ home: own, env: service });
    const { name } = await first.status();
    expect(await refusal(await launch({ home: own, env: terminal, options: { name } }))).toMatchObject({
      code: "HOLDFAST_ERR_NAME_TAKEN",
      message: expect.stringContaining(join(socketsOf(own), `${name}.sock`)),
    });
    const second = await start({ home: own, env: terminal });
    expect((await second.status()).name).toBe(`${name}-2`);
  });

  test("clusters of one name, which did not know of each other, are told apart by their paths", async () => {
    const { own, service, terminal, run } = placesApart();
    // What runs without XDG_RUNTIME_DIR cannot look there.
    await start({ home: own, env: terminal, options: { name: "api" } });
    await start({ home: own, env: service, options: { name: "api" } });
    const env = { ...own.env, ...terminal };
    const holdfast = (...args: string[]) => runProgram(process.execPath, [HOLDFAST, ...args], { env });
    const paths = [join(run, `holdfast-${UID}`, "api.sock"), join(socketsOf(own), "api.sock")];
    const { code, stderr } = await holdfast("reload", "--name", "api");
    expect(code).toBe(2);
    expect(stderr).toContain(`Several clusters run: api at ${paths[0]}, api at ${paths[1]}.`);
    expect(stderr).toContain("--control");
    expect((await holdfast("stop", "--control", paths[0] as string)).code).toBe(0);
    expect((await holdfast("status", "--name", "api")).code).toBe(0);
  });

  test("one that does not answer hides nobody", async () => {
    const own = home();
    await start({ home: own, options: { name: "api" } });
    const second = await start({ home: own, options: { name: "other" } });
    process.kill(second.primary.pid, "SIGSTOP");
    const problem = `The cluster at ${join(socketsOf(own), "other.sock")} does not answer.\n`;
    const status = await own.holdfast("status", "--json");
    expect(status).toMatchObject({ code: 1, stderr: problem });
    expect((JSON.parse(status.stdout) as ClusterStatus[]).map(({ name }) => name)).toEqual(["api"]);
    // It may be the one that is meant.
    const reload = await own.holdfast("reload");
    expect(reload).toMatchObject({ code: 2, stderr: expect.stringContaining(problem) });
    expect((await own.holdfast("reload", "--name", "api")).code).toBe(0);
    process.kill(second.primary.pid, "SIGCONT");
  });

  test("one that does not answer, of the name of another, is told from that by the paths", async () => {
    const { own, service, terminal, run } = placesApart();
    await start({ home: own, env: terminal, options: { name: "api" } });
    const second = await start({ home: own, env: service, options: { name: "api" } });
    const env = { ...own.env, ...terminal };
    const holdfast = (...args: string[]) => runProgram(process.execPath, [HOLDFAST, ...args], { env });
    const [first, busy] = [join(run, `holdfast-${UID}`, "api.sock"), join(socketsOf(own), "api.sock")];
    process.kill(second.primary.pid, "SIGSTOP");
    const stderr =
      `The cluster at ${busy} does not answer.\n` +
      `Another cluster runs: api at ${first}. Say which one with --control and its path.\n`;
    for (const which of [[], ["--name", "api"]]) {
      expect(await holdfast("reload", ...which)).toMatchObject({ code: 2, stderr });
    }
    expect((await holdfast("reload", "--control", first)).code).toBe(0);
    process.kill(second.primary.pid, "SIGCONT");
  });

  test("one of another version hides nobody", async () => {
    const own = home();
    await start({ home: own, options: { name: "api" } });
    const path = join(socketsOf(own), "later.sock");
    const message = "This cluster understands version 2 of the commands.";
    const answer = { kind: "failed", code: "BAD_REQUEST", message };
    // It does not hang up.
    const later = createServer((socket) => socket.write(`${JSON.stringify(answer)}\n`)).listen(path);
    onTestFinished(() => void later.close());
    await once(later, "listening");
    const { code, stdout, stderr } = await own.holdfast("status");
    expect({ code, stderr }).toEqual({ code: 1, stderr: `The cluster at ${path}: ${message}\n` });
    expect(stdout).toMatch(/^api \(pid /);
  });

  test("a path that is a number is no port", async () => {
    const own = home();
    const cluster = await launch({ home: own, cwd: own.directory, options: { control: "3977" } });
    await cluster.status();
    expect(await own.holdfast("status", "--control", "3977")).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("the control socket", () => {
  test("is for the same user only", async () => {
    const { home: own } = await start({ options: { name: "api" } });
    const modes = [socketsOf(own), join(socketsOf(own), "api.sock")].map(
      (path) => statSync(path).mode & 0o777,
    );
    expect(modes).toEqual([0o700, 0o600]);
  });

  test.each([
    [
      "others can use",
      (path: string) => {
        mkdirSync(path);
        chmodSync(path, 0o777);
      },
      // One that was there before may still be.
      1,
    ],
    ["is a link to somewhere else", (path: string) => symlinkSync("/tmp", path), 4],
    ["is a file", (path: string) => writeFileSync(path, ""), 4],
  ])(
    "is not put into a directory that %s: the cluster runs without, and says why",
    async (_, spoil, code) => {
      const own = home();
      spoil(socketsOf(own));
      const cluster = await start({ home: own });
      expect((await cluster.status()).slots.map(({ state }) => state)).toEqual(["ready", "ready"]);
      expect(cluster.output).toContain("holdfast: warning: There is no place for a control socket.");
      expect(cluster.output).toContain(socketsOf(own));
      expect((await own.holdfast("status")).code).toBe(code);
    },
  );

  test("is not put into the place of a file: the cluster runs without, and says why", async () => {
    const own = home();
    const path = join(own.directory, "my.sock");
    writeFileSync(path, "somebody else's");
    mkdirSync(socketsOf(own), { mode: 0o700 });
    writeFileSync(join(socketsOf(own), "api.sock"), "somebody else's");
    const wanted = [{ control: path }, { name: "api" }];
    for (const options of wanted) {
      const cluster = await start({ home: own, options: { workers: 1, ...options } });
      expect(cluster.output).toMatch(
        /holdfast: warning: What is at \S+\.sock, where .* is no socket\. Remove it/,
      );
    }
    expect(readFileSync(path, "utf8")).toBe("somebody else's");
    expect((await own.holdfast("status")).code).toBe(4);
  });

  test("that has no room in the first place is in the next one", async () => {
    const own = home();
    const long = join(own.directory, "x".repeat(100));
    mkdirSync(long, { mode: 0o700 });
    const cluster = await start({ home: own, env: { XDG_RUNTIME_DIR: long }, options: { workers: 1 } });
    expect(cluster.output).toBe("");
    expect((await own.holdfast("status")).code).toBe(0);
  });

  test("that has no room anywhere says so, and what to do", async () => {
    const own = home();
    const long = join(own.directory, "x".repeat(100));
    mkdirSync(long, { mode: 0o700 });
    const env = { XDG_RUNTIME_DIR: long, TMPDIR: long };
    const cluster = await start({ home: own, env, options: { workers: 1 } });
    expect(cluster.output).toContain("holdfast: warning: There is no place for a control socket. ");
    expect(cluster.output).toContain("Set XDG_RUNTIME_DIR or TMPDIR to a shorter path, or a shorter name.");
  });

  test("is not there with `control: false`, and where it is wanted with a path", async () => {
    const without = await start({ options: { control: false } });
    expect((await without.home.holdfast("status")).code).toBe(4);
    const own = home();
    const path = join(own.directory, "my.sock");
    await start({ home: own, options: { control: path } });
    expect((await own.holdfast("status", "--control", path)).code).toBe(0);
  });

  test.each([
    ["is removed", (_: Home, path: string) => rmSync(path)],
    ["is removed with its directory", (own: Home) => rmSync(socketsOf(own), { recursive: true })],
  ])("that %s is made anew, which is told once each time", async (_, remove) => {
    const cluster = await start({ options: { name: "api" } });
    const path = join(socketsOf(cluster.home), "api.sock");
    for (const times of [1, 2]) {
      const told = cluster.primary.next<{ message: string; code: string }>("warning");
      remove(cluster.home, path);
      const { message, code } = await told;
      expect(code).toBe("HOLDFAST_ERR_CONTROL_SOCKET");
      expect(message).toContain(`The control socket ${path} was removed, and has been made anew.`);
      expect((await cluster.home.holdfast("status", "--name", "api")).code).toBe(0);
      expect([socketsOf(cluster.home), path].map((each) => statSync(each).mode & 0o777)).toEqual([
        0o700, 0o600,
      ]);
      await cluster.until("its log", () => cluster.output.match(/warning:/g)?.length === times);
    }
    expect((await cluster.home.holdfast("stop")).code).toBe(0);
    expect(await cluster.end()).toEqual({ code: 0, signal: null });
    expect(readdirSync(socketsOf(cluster.home))).toEqual([]);
  });

  test("leaves what somebody has put in its place, says so once, and is made anew when that is gone", async () => {
    const cluster = await start({ options: { name: "api" } });
    const path = join(socketsOf(cluster.home), "api.sock");
    const told = cluster.primary.next<{ message: string }>("warning");
    writeFileSync(`${path}.new`, "somebody else's");
    renameSync(`${path}.new`, path);
    expect((await told).message).toContain(
      `Somebody has put another file in the place of the control socket ${path}`,
    );
    rmSync(path);
    await expect.poll(async () => (await cluster.home.holdfast("status")).code).toBe(0);
    expect(cluster.output.match(/warning:/g)).toHaveLength(1);

    writeFileSync(`${path}.new`, "somebody else's");
    renameSync(`${path}.new`, path);
    process.kill(cluster.primary.pid, "SIGTERM");
    expect(await cluster.end()).toEqual({ code: 0, signal: null });
    expect(readFileSync(path, "utf8")).toBe("somebody else's");
  });

  test("that cannot be made anew is told once, with the reason, and made as soon as it can be", async () => {
    const own = home();
    const directory = join(own.directory, "own");
    mkdirSync(directory);
    const path = join(directory, "my.sock");
    const cluster = await start({ home: own, options: { control: path } });
    const told = cluster.primary.next<{ message: string }>("warning");
    rmSync(directory, { recursive: true });
    expect((await told).message).toMatch(
      /It cannot be made anew, which is tried every second\. .* cannot be opened: /,
    );
    mkdirSync(directory);
    await expect.poll(async () => (await own.holdfast("status", "--control", path)).code).toBe(0);
    expect(cluster.output.match(/warning:/g)).toHaveLength(1);
  });

  test("is nowhere if its place is no directory: there is no such cluster", async () => {
    const own = home();
    const file = join(own.directory, "file");
    writeFileSync(file, "");
    const path = join(file, "my.sock");
    const env = { ...own.env, TMPDIR: file, XDG_RUNTIME_DIR: file };
    const found = await runProgram(process.execPath, [HOLDFAST, "status"], { env });
    expect(found).toMatchObject({ code: 4, stderr: "No cluster of this user runs.\n" });
    const { code, stderr } = await own.holdfast("status", "--control", path);
    expect({ code, stderr }).toEqual({ code: 4, stderr: `No cluster answers at ${path}.\n` });
    const cluster = await start({ home: own, options: { control: path } });
    expect(cluster.output).toContain(`holdfast: warning: The control socket in ${file} cannot be opened: `);
  });

  test.skipIf(!canRunAsNobody())("that this user may not use is told as that", () => {
    const own = home();
    const locked = join(own.directory, "locked");
    mkdirSync(locked, { mode: 0o700 });
    chmodSync(own.directory, 0o755);
    const env = { ...process.env, TMPDIR: locked, XDG_RUNTIME_DIR: "" };
    const path = join(locked, "my.sock");
    const asNobody = (...args: string[]) => {
      const options = { encoding: "utf8", uid: NOBODY, gid: NOBODY, cwd: "/", env } as const;
      const { status, stderr } = spawnSync(process.execPath, [HOLDFAST, ...args], options);
      return { status, stderr };
    };
    expect(asNobody("status")).toEqual({ status: 4, stderr: "No cluster of this user runs.\n" });
    expect(asNobody("status", "--control", path)).toEqual({
      status: 1,
      stderr: `This user may not use the control socket ${path}. Run the command as the user who runs the cluster.\n`,
    });
  });

  test.skipIf(!canRunAsNobody()).each(["000", "300", "500", "600"])(
    "is in the next place if its user has closed the first one to themselves (mode %s)",
    async (mode) => {
      const { first, second, options } = placesOfNobody();
      chmodSync(first, Number.parseInt(mode, 8));
      const run = [HOLDFAST, "run", APP, "--port", "0", "--workers", "1", "--name", "api"];
      const program = Program.node(run, options);
      onTestFinished(() => program.close());
      await program.line(/^\S+ \(pid \d+\)/);
      expect(readdirSync(second)).toEqual(["api.sock"]);
      expect(program.output).not.toContain("warning");
      expect((await program.stop()).code).toBe(0);
    },
  );

  test.skipIf(!canRunAsNobody())(
    "is nowhere if its user has closed its only place: that is told",
    async () => {
      const { first, options } = placesOfNobody();
      chmodSync(first, 0o600);
      const env = { ...options.env, TMPDIR: dirname(first) };
      const cases: [args: string[], text: string][] = [
        [["--name", "api"], "There is no place for a control socket."],
        [["--control", join(first, "my.sock")], `The control socket in ${first} cannot be opened:`],
      ];
      for (const [args, text] of cases) {
        const run = [HOLDFAST, "run", APP, "--port", "0", "--workers", "1", ...args];
        const program = Program.node(run, { ...options, env });
        onTestFinished(() => program.close());
        await program.line(/^\S+ \(pid \d+\)/);
        expect(program.output).toContain(`${text} ${closed(first)}`);
        expect((await program.stop()).code).toBe(0);
      }
    },
  );

  test.skipIf(!canRunAsNobody())(
    "that its user has closed to themselves is told by the commands",
    async () => {
      const { first, options } = placesOfNobody();
      // Somebody is there, also where it may not be seen.
      const path = join(first, "api.sock");
      const living = createServer((socket) => socket.destroy()).listen(path);
      onTestFinished(() => void living.close());
      await once(living, "listening");
      chownSync(path, NOBODY, NOBODY);
      const holdfast = (...args: string[]) => runProgram(process.execPath, [HOLDFAST, ...args], options);
      const parent = dirname(first);
      const othersCan = `Others can use ${first}: run chmod 700 ${first}.\n`;
      const cases: [string, number, stderr: string][] = [
        [first, 0o000, closed(first)],
        [first, 0o300, closed(first)],
        [first, 0o600, closed(first)],
        [first, 0o755, othersCan],
        [parent, 0o000, closed(parent)],
        [parent, 0o600, closed(parent)],
      ];
      for (const [directory, mode, stderr] of cases) {
        chmodSync(directory, mode);
        for (const args of [["status"], ["reload", "--name", "other"]])
          expect(await holdfast(...args)).toMatchObject({ code: 1, stdout: "", stderr });
        chmodSync(directory, 0o700);
      }
      chmodSync(first, 0o600);
      expect(await holdfast("stop", "--control", path)).toMatchObject({ code: 1, stderr: closed(first) });
      chmodSync(path, 0o000);
      chmodSync(first, 0o500);
      const stderr = `You have closed ${path} to yourself: run chmod u+rw ${path}.\n`;
      for (const args of [["status"], ["stop", "--control", path]])
        expect(await holdfast(...args)).toMatchObject({ code: 1, stdout: "", stderr });
    },
  );

  test.each([
    ["a slash at the end", (own: Home) => `${own.directory}/`],
    ["two slashes", (own: Home) => own.directory.replace("/", "//")],
    ["a link", (own: Home) => join(own.directory, "link")],
  ])("is found once where XDG_RUNTIME_DIR is the temporary folder by %s", async (_, pathOf) => {
    const own = home();
    symlinkSync(own.directory, join(own.directory, "link"));
    const XDG_RUNTIME_DIR = pathOf(own);
    await start({ home: own, env: { XDG_RUNTIME_DIR }, options: { name: "api", workers: 1 } });
    const options = { env: { ...own.env, XDG_RUNTIME_DIR } };
    for (const args of [["reload"], ["stop", "--name", "api"]])
      expect(await runProgram(process.execPath, [HOLDFAST, ...args], options)).toMatchObject({ code: 0 });
  });

  test("is nowhere if its place is relative, and the working directory has been removed", async () => {
    const own = home();
    const options = { cwd: own.directory, env: { ...own.env, TMPDIR: "temporary", XDG_RUNTIME_DIR: "" } };
    const holdfast = (...args: string[]) => {
      const script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"';
      return runProgram("/bin/sh", ["-c", script, "sh", process.execPath, HOLDFAST, ...args], options);
    };
    expect(await holdfast("status")).toMatchObject({ code: 4, stderr: "No cluster of this user runs.\n" });
    expect(await holdfast("status", "--control", "my.sock")).toMatchObject({
      code: 2,
      stderr:
        "--control my.sock is a relative path, and the working directory has been removed. Give the whole path.\n",
    });
  });

  test("answers nonsense with a sentence, and goes on", async () => {
    const { home: own } = await start({ options: { name: "api" } });
    const path = join(socketsOf(own), "api.sock");
    const nonsense: (string | Buffer)[] = [
      "\n",
      "null\n",
      "[]\n",
      "{\n",
      '{"version":1}\n',
      '{"version":1,"command":"__proto__"}\n',
      '{"version":99,"command":"stop"}\n',
      '{"version":1,"command":"scale"}\n',
      '{"version":1,"command":"scale","workers":-1}\n',
      '{"version":1,"command":"scale","workers":1e9}\n',
      '{"version":1,"command":"stop","timeoutMs":"x"}\n',
      "GET / HTTP/1.1\r\n\r\n",
      "x".repeat(100_000),
      Buffer.from([0xff, 0xfe, 0x00, 0x0a]),
      `${"[".repeat(4_000)}\n`,
    ];
    for (const bytes of nonsense) {
      const [answer = ""] = (await send(path, bytes)).split("\n");
      expect(JSON.parse(answer)).toMatchObject({ kind: "failed", message: expect.any(String) });
    }
    // Two requests at once are the first one.
    const status = '{"version":1,"command":"status"}\n';
    expect((await send(path, `${status}{"version":1,"command":"stop"}\n`)).trim().split("\n").length).toBe(1);
    // Nobody is there any more to hear the answer; a request that never comes.
    await send(path, status, true);
    await send(path, "", true);
    expect((await own.holdfast("status")).code).toBe(0);
  });

  test("refuses a stop() that makes no sense, and what comes later is as it would have been", async () => {
    const cluster = await start({ options: { name: "api", workers: 1 } });
    const path = join(socketsOf(cluster.home), "api.sock");
    const answer = await send(path, '{"version":1,"command":"stop","timeoutMs":3000000000}\n');
    expect(JSON.parse(answer)).toMatchObject({ kind: "failed", code: "HOLDFAST_ERR_INVALID_OPTION" });
    // Its own stop() does not end the application.
    const alive = cluster.primary.run(async (ctx) => {
      await (await ctx.cluster()).stop();
      return new Promise((resolve) => setImmediate(resolve, "alive"));
    });
    expect(await alive).toBe("alive");
  });

  test("a reload goes on when whoever has asked for it hangs up", async () => {
    const cluster = await start({ options: { name: "api" } });
    const done = cluster.primary.next("reload:done");
    const socket = connect(join(socketsOf(cluster.home), "api.sock"));
    socket.write('{"version":1,"command":"reload"}\n');
    await new Promise((resolve) => socket.once("data", resolve));
    socket.destroy();
    expect(await done).toMatchObject({ workers: 2 });
  });
});
