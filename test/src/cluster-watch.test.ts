/** `holdfast run --watch`: what it takes for a change, and what it does then. */
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { Program } from "@holdfast/harness";
import { afterEach, expect, test } from "vitest";
import { startsSupervised } from "./harness/after-each.js";
import { APP, HOLDFAST, type Home } from "./harness/supervised.js";

const { home } = startsSupervised();
const programs: Program[] = [];
const WORKING = `import ${JSON.stringify(APP)};\n`;
const BROKEN = "throw new Error('broken');";

afterEach(async () => {
  for (const program of programs.splice(0)) await program.close();
});

/** An application in a folder of its own, `src`. */
function application(text: string) {
  const own = home();
  const src = join(own.directory, "src");
  mkdirSync(src);
  const app = join(src, "app.mjs");
  writeFileSync(app, text);
  return { own, src, app };
}

/** `holdfast run --watch` with one worker. */
function watching(own: Home, app: string, flags = ["-p", "0"], env: NodeJS.ProcessEnv = {}): Program {
  const args = [HOLDFAST, "run", app, "-w", "1", "--watch", ...flags];
  const program = Program.node(args, { env: { ...own.env, ...env }, cwd: own.directory });
  programs.push(program);
  return program;
}

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

test("a file that is written all the time keeps no change from being told", async () => {
  const { own, src, app } = application(WORKING);
  const program = watching(own, app);
  await program.line(/watching for changes$/);
  writeFileSync(join(src, "first.mjs"), "");
  const timer = setInterval(() => writeFileSync(join(src, "busy.txt"), ""), 10);
  try {
    const [line] = await program.line(/^.* has changed$/);
    expect(line).toBe("src/first.mjs has changed");
  } finally {
    clearInterval(timer);
  }
});
