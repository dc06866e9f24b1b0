/** `holdfast run --watch`: how it goes on after a change, and when nothing can be watched. */
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Program } from "@holdfast/harness";
import { expect, test } from "vitest";
import { APP, HOLDFAST, type Home } from "./harness/supervised.js";
import { BROKEN, startsWatching, WORKING } from "./harness/watching.js";

const { application, watching, started } = startsWatching();

test("reloads when a file has changed, and waits for the next change when it is broken", async () => {
  const { own, src, app } = application(WORKING);
  const program = watching(own, app);
  const times = (text: string) => program.stderr.split(text).length - 1;
  await program.line(/^1 workers on .*; watching for changes$/);
  // Several writes, as an editor and a build make them, are one change.
  for (const text of ["// 1", "// 2", "// 3"]) writeFileSync(app, WORKING + text);
  await program.line(/^src\/app\.mjs has changed$/);
  await program.writes("reloaded 1 workers");
  writeFileSync(app, BROKEN);
  await program.writes("the reload was given up");
  writeFileSync(join(src, "other.mjs"), "");
  await program.line(/^src\/other\.mjs has changed$/);
  // No reload is left that would run the file as it is from now on.
  await program.until("second failure", () => times("the reload was given up") === 2);
  writeFileSync(app, WORKING);
  await program.until("second reload", () => times("reloaded 1 workers") === 2);
  program.signal("SIGINT");
  expect(await program.end()).toEqual({ code: 0, signal: null });
});

test("runs where the working directory has been removed, and tells whole paths", async () => {
  const { own, app } = application(WORKING);
  const script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"';
  const command = [process.execPath, HOLDFAST, "run", app, "-w", "1", "--watch", "-p", "0"];
  const options = { cwd: own.directory, env: own.env };
  const program = started(new Program("/bin/sh", ["-c", script, "sh", ...command], options));
  await program.line(/^1 workers on .*; watching for changes$/);
  writeFileSync(app, `${WORKING}//`);
  expect((await program.line(/^(.*) has changed$/))[1]).toBe(app);
  await program.writes("reloaded 1 workers");
  program.signal("SIGTERM");
  expect(await program.end()).toEqual({ code: 0, signal: null });
});

test("with an application that is broken from the start, waits", async () => {
  const { own, app } = application(BROKEN);
  const program = watching(own, app);
  await program.line(/^waiting for a change$/);
  writeFileSync(app, WORKING);
  await program.line(/^1 workers on /);
  program.signal("SIGTERM");
  expect(await program.end()).toEqual({ code: 0, signal: null });
});

test("with a change that mends the application while its port was taken, says so and ends", async () => {
  const { own, app } = application(BROKEN);
  const path = join(own.directory, "app.sock");
  const program = watching(own, app, ["--path", path]);
  await program.line(/^waiting for a change$/);
  const other = createServer().listen(path);
  await once(other, "listening");
  writeFileSync(app, WORKING);
  expect(await program.end()).toEqual({ code: 1, signal: null });
  other.close();
  // The last line: behind it, an error that nobody has caught would have its stack.
  expect(program.stderr.split("\n").at(-2)).toMatch(/^Somebody else listens on /);
});

test.each([
  ["runs", {}, "; watching for changes"],
  ["starts", { writes: "a slow start", waitsMs: 3_600_000 }, "a slow start"],
])("`stop` ends it while it %s", async (_, how, text) => {
  const { own, app } = application(WORKING);
  own.start(how);
  const program = watching(own, app, ["-p", "0", "--name", "w"]);
  await program.writes(text);
  const { stdout, stderr } = await own.holdfast("stop", "--name", "w");
  expect({ stdout, stderr }).toEqual({ stdout: "Stopped w.\n", stderr: "" });
  expect(await program.end()).toEqual({ code: 0, signal: null });
  expect(program.output).not.toContain("waiting for a change");
});

test("an application that is broken, then gone with its directory, then there again, starts", async () => {
  const { own, src, app } = application(BROKEN);
  const program = watching(own, app);
  await program.line(/^waiting for a change$/);
  rmSync(src, { recursive: true });
  await program.writes(`There is no file ${app} for the workers to run.`);
  await program.line(/^waiting for a change$/, 2);
  mkdirSync(src);
  writeFileSync(app, WORKING);
  await program.line(/^1 workers on /);
  program.signal("SIGTERM");
  expect(await program.end()).toEqual({ code: 0, signal: null });
});

test.each([
  ["missing", "there is none at "],
  ["src/app.mjs", "is a file"],
  ["src/app.mjs/lib", "there is none at "],
  ["", "and its path is empty"],
])("--watch-path %s is refused, code 2", async (path, text) => {
  const { own, app } = application(WORKING);
  const { code, stdout, stderr } = await own.holdfast("run", app, "-p", "0", "--watch-path", path);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain("--watch-path takes a directory");
  expect(stderr).toContain(text);
});

test.each([
  ["ENOSPC", "fs.inotify.max_user_watches"],
  ["EMFILE", "fs.inotify.max_user_instances"],
  ["EACCES", "This user may not read it"],
  ["EIO", "Name other directories with --watch-path"],
])("directories that cannot be watched (%s) are told once, with what can be done", async (code, text) => {
  const { own, src, app } = application(WORKING);
  for (const name of ["no-1", "no-2", "yes"]) mkdirSync(join(src, name));
  const refusing = join(own.directory, "refusing.mjs");
  writeFileSync(
    refusing,
    `import fs from "node:fs";
    import { syncBuiltinESMExports } from "node:module";
    const { watch } = fs;
    fs.watch = (path, ...rest) => {
      if (!/no-\\d$/.test(path)) return watch(path, ...rest);
      throw Object.assign(new Error("refused"), { code: ${JSON.stringify(code)} });
    };
    syncBuiltinESMExports();`,
  );
  const program = watching(own, app, ["-p", "0"], { NODE_OPTIONS: `--import ${refusing}` });
  await program.line(/watching for changes$/);
  for (const name of ["a.mjs", "b.mjs"]) {
    writeFileSync(join(src, "yes", name), "");
    await program.until(name, () => program.stdout.includes(`src/yes/${name} has changed`));
  }
  const warnings = program.stderr.match(/^holdfast: warning: .*$/gm);
  expect(warnings).toHaveLength(1);
  expect(warnings?.[0]).toMatch(/^holdfast: warning: Changes in .*no-1 are not seen \(/);
  expect(warnings?.[0]).toContain(text);
});

/** The next worker waits until it is let go; those after it do not. */
async function holdsNextWorker(own: Home) {
  const path = join(own.directory, "gate.sock");
  const gate = createServer().listen(path);
  await once(gate, "listening");
  own.start({ waitsAt: path });
  const arrived = once(gate, "connection").then(([socket]) => {
    own.start({});
    gate.close();
    return () => void socket.destroy();
  });
  return { arrived };
}

test("a change during a reload is followed by another reload", async () => {
  const { own, src, app } = application(WORKING);
  const program = watching(own, app);
  await program.line(/watching for changes$/);
  const { arrived } = await holdsNextWorker(own);
  writeFileSync(join(src, "one.mjs"), "");
  const letGo = await arrived;
  writeFileSync(app, `${WORKING}console.log("anew");`);
  await program.line(/^src\/app\.mjs has changed$/);
  letGo();
  await program.line(/^anew$/);
  await program.writes("reloaded 1 workers");
});

test("SIGHUP while it starts is followed by another start or a reload", async () => {
  const { own, app } = application(WORKING);
  const { arrived } = await holdsNextWorker(own);
  const program = watching(own, app);
  const letGo = await arrived;
  own.start({ writes: "anew" });
  program.signal("SIGHUP");
  letGo();
  await program.line(/watching for changes$/);
  await program.writes("anew");
});

const HANGING = "console.log('hanging'); setInterval(() => {}, 1_000);";
const PATIENT = ["-p", "0", "--ready-timeout", "3600000"];

test("a start that hangs makes way for a change", async () => {
  const { own, app } = application(HANGING);
  const program = watching(own, app, PATIENT);
  await program.line(/^hanging$/);
  writeFileSync(app, WORKING);
  await program.line(/^1 workers on /);
  program.signal("SIGTERM");
  expect(await program.end()).toEqual({ code: 0, signal: null });
});

test("`stop` ends it also while a start that hangs makes way", async () => {
  // It takes its time to end.
  const { own, app } = application(`process.on("SIGTERM", () => {}); ${HANGING}`);
  const control = join(own.directory, "own.sock");
  const program = watching(own, app, [...PATIENT, "--control", control]);
  await program.line(/^hanging$/);
  const socket = connect(control);
  await once(socket, "connect");
  const answer = text(socket);
  writeFileSync(app, WORKING);
  await program.line(/^the start was given up/);
  socket.write('{"version":1,"command":"stop"}\n');
  expect(JSON.parse(await answer)).toEqual({ kind: "done", result: { killed: 1 } });
  expect(await program.end()).toEqual({ code: 3, signal: null });
  expect(program.count(/^1 workers on /)).toBe(0);
});

test("so does a reload that hangs, and the workers that are there stay meanwhile", async () => {
  const { own, app } = application(WORKING);
  const program = watching(own, app, PATIENT);
  await program.line(/watching for changes$/);
  const before = await workerOf(own);
  writeFileSync(app, HANGING);
  await program.line(/^hanging$/);
  writeFileSync(app, `${HANGING}// still`);
  await program.line(/^hanging$/, 2);
  expect(await workerOf(own)).toBe(before);
  writeFileSync(app, WORKING);
  await program.writes("reloaded 1 workers");
  expect(program.stderr).toContain("this reload made way for a newer one. 0 of 1 workers");
  expect(program.stderr).not.toContain("ended:");
});

/** Longer than a start may go on after a change: what is written first is one. */
const WRITES_AT_ITS_START = `import { writeFileSync } from "node:fs";
  writeFileSync(new URL("./made.json", import.meta.url), "{}");
  await new Promise((done) => setTimeout(done, 3_000));
  await import(${JSON.stringify(APP)});`;

test("an application that writes beside itself and takes long to start comes up", async () => {
  const { own, app } = application(WRITES_AT_ITS_START);
  const program = watching(own, app, PATIENT);
  await program.line(/^src\/made\.json has changed$/);
  await program.line(/^1 workers on /);
});

test("so does a reload of it", async () => {
  const { own, app } = application(WORKING);
  const program = watching(own, app, PATIENT);
  await program.line(/watching for changes$/);
  writeFileSync(app, WRITES_AT_ITS_START);
  await program.line(/^src\/made\.json has changed$/);
  await program.writes("reloaded 1 workers");
});

test.each([
  { order: ["reload"], text: "made way for a newer one", hanging: 1, done: "reloaded 1 workers" },
  // Of its two workers, the new one is started again beside the successor of the first.
  { order: ["scale", "2"], text: "are started again, with", hanging: 2, done: "reloaded 2 workers" },
])("$order that hangs makes way for a change, and the reload behind it for the next one", async (row) => {
  const { order, text, hanging, done } = row;
  const { own, src, app } = application(WORKING);
  const program = watching(own, app, PATIENT);
  await program.line(/watching for changes$/);
  own.start({ writes: "hangs at first", waitsMs: 3_600_000 });
  const ordered = own.holdfast(...order);
  await program.writes("hangs at first");
  own.start({ writes: "hangs behind it", waitsMs: 3_600_000 });
  writeFileSync(join(src, "one.mjs"), "");
  const { code, stderr } = await ordered;
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(text) });
  const isHanging = () => program.stderr.split("hangs behind it").length > hanging;
  await program.until("workers that hang behind it", isHanging);
  own.start({});
  writeFileSync(join(src, "two.mjs"), "");
  await program.writes(done);
  // That it was ended is no crash.
  expect(program.stderr).not.toContain("is given up");
});

/** The process of the only worker. */
async function workerOf(own: Home): Promise<number> {
  const { stdout } = await own.holdfast("status", "--json");
  const [{ slots }] = JSON.parse(stdout) as [{ slots: [{ pid: number }] }];
  return slots[0].pid;
}

test("an application that crashes soon after it was ready is broken", async () => {
  const { own, app } = application(WORKING);
  const program = watching(own, app);
  await program.line(/watching for changes$/);
  process.kill(await workerOf(own), "SIGKILL");
  await program.line(/^waiting for a change$/);
  expect(program.count(/watching for changes$/)).toBe(1);
});

test("what was changed is tried, also if the last worker crashes meanwhile", async () => {
  const { own, src, app } = application(WORKING);
  const program = watching(own, app);
  await program.line(/watching for changes$/);
  const worker = await workerOf(own);
  const { arrived } = await holdsNextWorker(own);
  writeFileSync(join(src, "one.mjs"), "");
  await arrived;
  process.kill(worker, "SIGKILL");
  await program.writes("ended: SIGKILL");
  writeFileSync(join(src, "two.mjs"), "");
  const isUp = () => program.count(/watching for changes$/) === 2 || program.stderr.includes("reloaded");
  await program.until("new worker", isUp);
  expect(program.stdout).not.toContain("waiting for a change");
});

test("what has been tried is not tried again when the workers crash later", async () => {
  const { own, src, app } = application(WORKING);
  const { arrived } = await holdsNextWorker(own);
  const program = watching(own, app);
  const letGo = await arrived;
  writeFileSync(join(src, "part.mjs"), "");
  await program.line(/^src\/part\.mjs has changed$/);
  letGo();
  await program.line(/watching for changes$/);
  // Unless it has taken too long.
  if (program.count(/^the start was given up/) === 0) await program.writes("reloaded 1 workers");
  writeFileSync(app, BROKEN);
  await program.writes("the reload was given up");
  process.kill(await workerOf(own), "SIGKILL");
  await program.line(/^waiting for a change$/);
  expect(program.stderr.match(/ended: exit code 1/g)).toHaveLength(1);
});

test("SIGHUP while it waits for a change starts it", async () => {
  const { own, app } = application(WORKING);
  own.start({ throws: "no database" });
  const program = watching(own, app);
  await program.line(/^waiting for a change$/);
  own.start({});
  program.signal("SIGHUP");
  await program.line(/^1 workers on /);
});
