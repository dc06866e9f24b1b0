/**
 * Imports point one way: a folder imports only what the architecture puts below it. Files are short, or say why they are
 * not.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PACKAGES = join(ROOT, "packages/");

interface Layout {
  /** What each folder may import besides itself and the files in the root: folders, or files of them. */
  readonly folders: Readonly<Record<string, readonly string[]>>;
  /** What a folder must not import from outside of the package. */
  readonly foreign: Readonly<Record<string, readonly RegExp[]>>;
  /** Imports that break the rules for the time being: "importer → imported". It must become empty. */
  readonly known: readonly string[];
}

/** Lists of public names: one for each name that users import from. */
const ENTRIES: readonly string[] = ["index", "redis-streams"];
const SOCKET_IO = /^(socket\.io|socket\.io-adapter|engine\.io|ws)$/;
const CLUSTER = /^(node:)?cluster$/;

const LAYOUTS: Readonly<Record<string, Layout>> = {
  adapter: {
    folders: {
      wire: [],
      link: ["wire"],
      hub: ["wire", "link"],
      member: ["wire", "link"],
      socketio: ["wire", "link", "member"],
      backplane: ["wire", "hub/backplane"],
      host: ["wire", "link", "hub", "member", "socketio", "backplane"],
    },
    foreign: { hub: [SOCKET_IO, CLUSTER], backplane: [SOCKET_IO, CLUSTER] },
    known: [],
  },
  sticky: {
    folders: {
      wire: [],
      handle: ["wire"],
      rendezvous: ["wire"],
      hosts: ["wire"],
      primary: ["wire", "handle", "rendezvous", "hosts"],
      worker: ["wire", "handle", "rendezvous", "hosts"],
    },
    foreign: {
      wire: [SOCKET_IO, CLUSTER],
      handle: [SOCKET_IO, CLUSTER],
      rendezvous: [SOCKET_IO, CLUSTER],
      hosts: [SOCKET_IO, CLUSTER],
      primary: [SOCKET_IO],
    },
    known: [],
  },
  cluster: {
    folders: {
      wire: [],
      control: ["wire"],
      dashboard: [],
      watch: [],
      metrics: [],
      admin: ["dashboard", "watch", "metrics"],
      supervisor: ["wire", "control", "watch", "admin"],
      worker: ["wire"],
      "command-line": ["wire", "control", "supervisor"],
    },
    foreign: {
      wire: [SOCKET_IO, CLUSTER],
      control: [SOCKET_IO, CLUSTER],
      dashboard: [SOCKET_IO, CLUSTER],
      watch: [SOCKET_IO, CLUSTER],
      metrics: [SOCKET_IO, CLUSTER],
      admin: [SOCKET_IO, CLUSTER],
      supervisor: [SOCKET_IO],
      "command-line": [SOCKET_IO, CLUSTER],
    },
    known: [],
  },
};

/** What each package may import of the others: by their public names only. */
const SIBLINGS: Readonly<Record<string, readonly string[]>> = {
  adapter: [],
  sticky: [],
  cluster: ["@holdfast/adapter", "@holdfast/sticky"],
};

interface Import {
  /** Path below `src`, without its ending: "hub/hub". */
  readonly from: string;
  /** The same of an own file; or the name of a package. */
  readonly to: string;
  readonly isOwn: boolean;
}

/** All imports of a package's sources, of types too, without those of its tests. */
function importsOf(name: string): Import[] {
  const root = join(PACKAGES, name, "src");
  const files = readdirSync(root, { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => file.endsWith(".ts") && !/\.test(-d)?\.ts$/.test(file))
    .flatMap((file) =>
      specifiersOf(readFileSync(join(root, file), "utf8")).map((specifier) => {
        const isOwn = specifier.startsWith(".");
        const target = relative(root, join(root, dirname(file), specifier));
        return { from: bare(file), to: isOwn ? bare(target) : specifier, isOwn };
      }),
    );
}

function specifiersOf(source: string): string[] {
  return [...source.matchAll(/(?:\bfrom|^import|\bimport\()\s*"([^"]+)"/gm)].map(([, found]) => found ?? "");
}

const bare = (file: string) => file.replaceAll("\\", "/").replace(/\.[jt]s$/, "");
const folderOf = (file: string) => (file.includes("/") ? file.slice(0, file.indexOf("/")) : "");

/** Why an import must not be; `undefined` if it may. */
function objectionTo({ from, to, isOwn }: Import, { folders, foreign }: Layout): string | undefined {
  const folder = folderOf(from);
  if (!isOwn) {
    if (!foreign[folder]?.some((pattern) => pattern.test(to))) return undefined;
    return `${folder}/ must not import "${to}": pass in what is needed of it from a folder above.`;
  }
  if (ENTRIES.includes(to)) return `${to}.ts is for users: import the file that has the name.`;
  if (folder === "" || folderOf(to) === "" || folderOf(to) === folder) {
    // What everybody imports must not pull in a folder, except the lists of public names.
    const isUpwards = folder === "" && folderOf(to) !== "" && !ENTRIES.includes(from);
    return isUpwards ? "files in the root import no folder: move one of the two." : undefined;
  }
  const allowed = folders[folder];
  if (allowed === undefined) return `${folder}/ is not in the table: say what it may import.`;
  if (allowed.includes(folderOf(to)) || allowed.includes(to)) return undefined;
  const list = allowed.length === 0 ? "no other folder" : `only ${allowed.join(", ")}`;
  return (
    `${folder}/ imports ${list}. Move what both need into a folder below them, or let ${from} take it ` +
    "as a parameter whose type it declares itself."
  );
}

function offences(name: string, layout: Layout): Map<string, string> {
  const found = new Map<string, string>();
  for (const each of importsOf(name)) {
    const objection = objectionTo(each, layout);
    if (objection !== undefined) found.set(`${each.from} → ${each.to}`, objection);
  }
  return found;
}

describe.each(Object.entries(LAYOUTS))("packages/%s", (name, layout) => {
  test("imports point one way", () => {
    const unexpected = [...offences(name, layout)]
      .filter(([offence]) => !layout.known.includes(offence))
      .map(([offence, objection]) => `${offence}: ${objection}`);
    expect(unexpected).toEqual([]);
  });

  test("other packages are imported by their public names, if at all", () => {
    const imports = importsOf(name);
    const siblings = imports.filter(({ to, isOwn }) => !isOwn && to.startsWith("@holdfast/"));
    expect([...new Set(siblings.map(({ to }) => to))].sort()).toEqual(SIBLINGS[name]);
    expect(imports.filter(({ to, isOwn }) => isOwn && to.startsWith(".."))).toEqual([]);
  });

  test("no exception is listed that is not needed", () => {
    const broken = offences(name, layout);
    expect(layout.known.filter((known) => !broken.has(known))).toEqual([]);
  });

  test("every folder is in the table, and every import is found", () => {
    const imports = importsOf(name);
    const used = new Set(imports.map(({ from }) => folderOf(from)).filter((folder) => folder !== ""));
    expect(Object.keys(layout.folders)).toEqual(expect.arrayContaining([...used]));
    expect(imports.length).toBeGreaterThan(used.size);
  });
});

/** Of a source: longer ones have a reason. Of a test: cases are read one at a time, but a file has one subject. */
const MAX_LINES = 300;
const MAX_TEST_LINES = 700;
const REASON = /^ \* Longer than other files: \w/m;

/** What is wrong with the length of a file; `undefined` if nothing is. */
function lengthObjection(file: string, source: string): string | undefined {
  const lines = source.split("\n").length - 1;
  if (isTest(file)) {
    if (lines <= MAX_TEST_LINES) return undefined;
    return `${file} has ${lines} lines: a test file has at most ${MAX_TEST_LINES}. Give a part of its subject a file.`;
  }
  const [header = ""] = source.match(/^(?:#!.*\n)?\/\*\*.*?\*\//s) ?? [];
  if (lines <= MAX_LINES || REASON.test(header)) return undefined;
  return (
    `${file} has ${lines} lines: give one of its concepts a file, or say in its header ` +
    '"Longer than other files: …" with the reason.'
  );
}

const isTest = (file: string) => file.startsWith("test/") || /\.test(-d)?\.ts$/.test(file);

test.each([
  "packages/adapter/src",
  "packages/sticky/src",
  "packages/cluster/src",
  "harness/src",
  "bench/src",
  "test/src",
])("no file of %s is long without a reason", (folder) => {
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => `${folder}/${file}`);
  expect(files.length).toBeGreaterThan(0);
  const objections = files.map((file) => lengthObjection(file, readFileSync(join(ROOT, file), "utf8")));
  expect(objections.filter((each) => each !== undefined)).toEqual([]);
});

test("a long file without a reason is seen", () => {
  const [source, long] = ["packages/a/src/b.ts", "x;\n".repeat(MAX_LINES + 1)];
  const reason = " *\n * Longer than other files: it is a table.\n";
  expect(lengthObjection(source, long)).toMatch(/^packages\/a\/src\/b\.ts has 301 lines: give one/);
  expect(lengthObjection(source, `/**\n * What it is.\n${reason} */\n${long}`)).toBeUndefined();
  expect(
    lengthObjection(source, `#!/usr/bin/env node\n/**\n * What it is.\n${reason} */\n${long}`),
  ).toBeUndefined();
  expect(lengthObjection(source, `/** What it is. */\n${long}/**\n${reason} */\n`)).toMatch(/^packages/);
  expect(lengthObjection("packages/a/src/b.test.ts", long)).toBeUndefined();
  expect(lengthObjection("packages/a/src/b.test.ts", long.repeat(3))).toMatch(/at most 700/);
});

test.each<[string, Import, RegExp | undefined]>([
  ["adapter", { from: "hub/hub", to: "member/member", isOwn: true }, /^hub\/ imports only wire, link\./],
  ["adapter", { from: "hub/hub", to: "node:cluster", isOwn: false }, /^hub\/ must not import/],
  ["adapter", { from: "hub/hub", to: "link/outbox", isOwn: true }, undefined],
  ["adapter", { from: "wire/frame", to: "errors", isOwn: true }, undefined],
  ["adapter", { from: "wire/frame", to: "index", isOwn: true }, /^index\.ts is for users/],
  [
    "sticky",
    { from: "worker/relay", to: "primary/router", isOwn: true },
    /^worker\/ imports only wire, handle, rendezvous, hosts\./,
  ],
  ["sticky", { from: "wire/messages", to: "handle/lane", isOwn: true }, /^wire\/ imports no other folder\./],
  ["sticky", { from: "options", to: "primary/router", isOwn: true }, /^files in the root import no folder/],
  ["sticky", { from: "new/file", to: "wire/messages", isOwn: true }, /^new\/ is not in the table/],
])("in %s, of %o it says %s", (name, wrong, objection) => {
  const said = objectionTo(wrong, LAYOUTS[name] as Layout);
  if (objection === undefined) expect(said).toBeUndefined();
  else expect(said).toMatch(objection);
});

test.each([
  'import { a } from "./a.js";',
  'import type { A } from "./a.js";',
  'export { a } from "./a.js";',
  'export type {\n  A,\n  B,\n} from "./a.js";',
  'import "./a.js";',
  'const a = await import("./a.js");',
  'type A = import("./a.js").A;',
])("%s is seen", (source) => {
  expect(specifiersOf(source)).toEqual(["./a.js"]);
});
