/** `holdfast run --watch`: what it takes for a change, wherever that happens. */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Program } from "@holdfast/harness";
import { expect, test } from "vitest";
import { HOLDFAST } from "./harness/supervised.js";
import { BROKEN, isToldOf, startsWatching, WORKING } from "./harness/watching.js";

const { application, watching, started } = startsWatching();
const CHANGED = /^.* has changed$/;

test("a directory that was removed and made anew is watched as before", async () => {
  const { own, src, app } = application(WORKING);
  const lib = join(src, "lib");
  mkdirSync(join(lib, "deep"), { recursive: true });
  const program = watching(own, app);
  await program.line(/watching for changes$/);
  rmSync(lib, { recursive: true });
  mkdirSync(join(lib, "deep"), { recursive: true });
  await isToldOf(program, join(lib, "new.mjs"), /^src\/lib\/new\.mjs has changed$/);
  await isToldOf(program, join(lib, "deep", "new.mjs"), /^src\/lib\/deep\/new\.mjs has changed$/);
});

test("so is the top directory, by whatever it is replaced", async () => {
  const { own, src, app } = application(WORKING);
  const program = watching(own, app);
  await program.line(/watching for changes$/);
  rmSync(src, { recursive: true });
  await program.writes("the reload was given up");
  mkdirSync(src);
  writeFileSync(app, WORKING);
  await program.writes("reloaded 1 workers");
  await isToldOf(program, join(src, "new.mjs"), /^src\/new\.mjs has changed$/);
  // A release is often put in place like this.
  mkdirSync(join(own.directory, "next"));
  renameSync(src, join(own.directory, "last"));
  renameSync(join(own.directory, "next"), src);
  await isToldOf(program, join(src, "newer.mjs"), /^src\/newer\.mjs has changed$/);
});

test("a link to a directory that leads elsewhere from now on is a change", async () => {
  const { own, app } = application(WORKING);
  const link = join(own.directory, "current");
  for (const name of ["first", "second"]) mkdirSync(join(own.directory, name));
  symlinkSync("first", link);
  const program = watching(own, app, ["-p", "0", "--watch-path", "current"]);
  await program.line(/watching for changes$/);
  symlinkSync("second", `${link}.new`);
  renameSync(`${link}.new`, link);
  await program.line(/^current has changed$/);
  writeFileSync(join(own.directory, "second", "part.mjs"), "");
  await program.line(/^current\/part\.mjs has changed$/);
});

test("what it writes itself into the directory is no change", async () => {
  const { own, src, app } = application(WORKING);
  const log = join(src, "dev.log");
  const command = `exec "$0" "$1" run "$2" -p 0 -w 1 --watch > "$3" 2>&1`;
  const args = ["-c", command, process.execPath, HOLDFAST, app, log];
  started(new Program("sh", args, { env: own.env, cwd: own.directory }));
  const written = (text: RegExp) => readFileSync(log, "utf8").match(text) ?? [];
  await expect.poll(() => existsSync(log) && written(/watching for changes$/gm)).toHaveLength(1);
  writeFileSync(join(src, "one.mjs"), "");
  await expect.poll(() => written(/reloaded 1 workers/g)).toHaveLength(1);
  writeFileSync(join(src, "two.mjs"), "");
  await expect.poll(() => written(/reloaded 1 workers/g)).toHaveLength(2);
  expect(written(/^.* has changed$/gm)).toEqual(["src/one.mjs has changed", "src/two.mjs has changed"]);
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

test("links are changes, but what is behind them is not watched, and loops do no harm", async () => {
  const { own, src, app } = application(WORKING);
  const elsewhere = join(own.directory, "elsewhere");
  mkdirSync(elsewhere);
  const program = watching(own, app);
  await program.line(/watching for changes$/);
  symlinkSync("loop", join(src, "loop"));
  await program.line(/^src\/loop has changed$/);
  symlinkSync(elsewhere, join(src, "link"));
  await program.line(/^src\/link has changed$/);
  writeFileSync(join(elsewhere, "part.mjs"), "");
  writeFileSync(join(src, "last.mjs"), "");
  // The first of several is told.
  const [line] = await program.line(/^.* has changed$/, 3);
  expect(line).toBe("src/last.mjs has changed");
});

test.each([
  ["its control socket", ["-p", "0", "--control", "src/own.sock"], {}],
  ["the socket that it listens on", ["--path", "src/own.sock"], {}],
  ["private directories", ["-p", "0"], { TMPDIR: "src", XDG_RUNTIME_DIR: "src" }],
])("what it makes for itself is no change: %s", async (_, flags, places) => {
  const { own, src, app } = application(BROKEN);
  const env = Object.fromEntries(Object.keys(places).map((name) => [name, src]));
  const program = watching(own, app, flags, env);
  const isFirstTold = async (name: string, times: number) => {
    writeFileSync(join(src, name), "");
    const [line] = await program.line(CHANGED, times);
    expect(line).toBe(`src/${name} has changed`);
  };
  await program.line(/^waiting for a change$/);
  await isFirstTold("one.mjs", 1);
  await program.line(/^waiting for a change$/, 2);
  writeFileSync(app, WORKING);
  await program.line(/^1 workers on /);
  expect(program.count(CHANGED)).toBe(2);
  // Its worker makes sockets, and that before it removes them.
  program.signal("SIGHUP");
  await program.writes("reloaded 1 workers");
  await isFirstTold("two.mjs", 3);
});

test.each([
  ["a directory", "src/dist", mkdirSync],
  ["a file in a top directory", "src", (path: string) => writeFileSync(path, "")],
])("a directory that has an entry of its own name may be made anew as well: %s", async (_, path, make) => {
  const { own, app } = application(WORKING);
  const directory = join(own.directory, "lib", path);
  const makeAll = () => {
    mkdirSync(directory, { recursive: true });
    make(join(directory, path.slice(path.lastIndexOf("/") + 1)));
  };
  makeAll();
  const program = watching(own, app, ["-p", "0", "--watch-path", "lib/src"]);
  await program.line(/watching for changes$/);
  // It looks when all is done.
  program.signal("SIGSTOP");
  rmSync(directory, { recursive: true });
  makeAll();
  program.signal("SIGCONT");
  await program.line(CHANGED);
  await isToldOf(program, join(directory, "new.mjs"), new RegExp(`^lib/${path}/new\\.mjs has changed$`));
});

test("a directory that cannot be looked at for a moment is watched as before, and seen into afterwards", async () => {
  const { own, src, app } = application(WORKING);
  const lib = join(src, "lib");
  mkdirSync(lib);
  const isShort = join(own.directory, "is-short");
  const failing = join(own.directory, "failing.mjs");
  writeFileSync(
    failing,
    `import fs from "node:fs";
    import { syncBuiltinESMExports } from "node:module";
    const { readdirSync } = fs;
    fs.readdirSync = (...args) => {
      if (!fs.existsSync(${JSON.stringify(isShort)})) return readdirSync(...args);
      throw Object.assign(new Error("refused"), { code: "EMFILE" });
    };
    syncBuiltinESMExports();`,
  );
  const program = watching(own, app, ["-p", "0"], { NODE_OPTIONS: `--import ${failing}` });
  await program.line(/watching for changes$/);
  writeFileSync(isShort, "");
  mkdirSync(join(src, "new"));
  await program.line(/^src\/new has changed$/);
  await program.writes("raise fs.inotify.max_user_instances");
  writeFileSync(join(src, "new", "unseen.mjs"), "");
  unlinkSync(isShort);
  // What has happened there meanwhile is not known: that the directory can be seen is a change.
  await program.line(/^src\/new has changed$/, 2);
  for (const path of ["lib", "new"]) {
    writeFileSync(join(src, path, "last.mjs"), "");
    await program.line(new RegExp(`^src/${path}/last\\.mjs has changed$`));
  }
});

// Other systems take no such names.
test.skipIf(process.platform !== "linux")("a directory whose name is no text is watched", async () => {
  const { own, src, app } = application(WORKING);
  const directory = Buffer.concat([Buffer.from(`${src}/caf`), Buffer.of(0xe9)]);
  mkdirSync(directory);
  const program = watching(own, app);
  await program.line(/watching for changes$/);
  writeFileSync(Buffer.concat([directory, Buffer.from("/part.mjs")]), "");
  await program.line(/^src\/caf\uFFFD\/part\.mjs has changed$/);
});

test("a worker file that is a link is seen to change where it leads, wherever that is", async () => {
  const { own, src } = application(WORKING);
  const link = join(own.directory, "links", "app.mjs");
  mkdirSync(join(own.directory, "links"));
  symlinkSync("../src/app.mjs", link);
  const program = watching(own, link);
  await program.line(/watching for changes$/);
  writeFileSync(join(src, "part.mjs"), "");
  await program.line(/^src\/part\.mjs has changed$/);
  const next = join(own.directory, "next");
  mkdirSync(next);
  writeFileSync(join(next, "app.mjs"), WORKING);
  symlinkSync("../next/app.mjs", `${link}.new`);
  renameSync(`${link}.new`, link);
  await program.line(/^links\/app\.mjs has changed$/);
  writeFileSync(join(src, "old.mjs"), "");
  writeFileSync(join(next, "part.mjs"), "");
  const [line] = await program.line(CHANGED, 3);
  expect(line).toBe("next/part.mjs has changed");
});

test("of a worker that is a directory, that is watched, and not what is beside it", async () => {
  const { own, src } = application(WORKING);
  writeFileSync(join(src, "package.json"), JSON.stringify({ main: "app.mjs" }));
  const program = watching(own, src);
  await program.line(/watching for changes$/);
  writeFileSync(join(own.directory, "beside.mjs"), "");
  writeFileSync(join(src, "part.mjs"), "");
  const [line] = await program.line(CHANGED);
  expect(line).toBe("src/part.mjs has changed");
});

test("the name of a file says nothing to the terminal but itself", async () => {
  const { own, src, app } = application(WORKING);
  const program = watching(own, app);
  await program.line(/watching for changes$/);
  writeFileSync(join(src, "a\nholdfast: forged \u001b[2Jb"), "");
  await program.line(/^src\/a holdfast: forged b has changed$/);
});
