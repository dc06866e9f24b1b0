/** The pages agree with the code and with each other: names, links, tables, numbers on the wire, snippets. */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { Server } from "socket.io";
import { describe, expect, test } from "vitest";
import { Outbox } from "../../packages/adapter/dist/link/outbox.js";
import { PreparedPacket } from "../../packages/adapter/dist/socketio/prepared-packet.js";
import { PROTOCOL_VERSION as ADAPTER_VERSION, FrameKind } from "../../packages/adapter/dist/wire/frame.js";
import { NamespaceKeys } from "../../packages/adapter/dist/wire/room-key.js";
import { MAX_DEPTH } from "../../packages/adapter/dist/wire/value-format.js";
import {
  PROTOCOL_VERSION as CLUSTER_VERSION,
  Kind as ClusterKind,
} from "../../packages/cluster/dist/wire/worker-messages.js";
import { HOST_VERSION } from "../../packages/sticky/dist/wire/host-proof.js";
import { FrameType, LINK_VERSION } from "../../packages/sticky/dist/wire/link-frame.js";
import {
  PROTOCOL_VERSION as STICKY_VERSION,
  Kind as StickyKind,
} from "../../packages/sticky/dist/wire/messages.js";
import { anchorsOf, linksOf, pages, ROOT, read, tableFaults, withoutCode } from "./harness/markdown.js";

/** Written by the bench. */
const GENERATED = "docs/benchmarks.md";
const PACKAGES = ["adapter", "sticky", "cluster"];
const PAGES = pages();

test("the README is short", () => {
  expect(read("README.md").split("\n").length).toBeLessThanOrEqual(150);
});

test("the README's snippets are the example that the tests run", () => {
  const snippets = [...read("README.md").matchAll(/<!-- (\S+) -->\s+```js\n(.*?)```/gs)];
  expect(snippets.map(([, path]) => path)).toEqual(["examples/cluster/server.js", "examples/cluster/app.js"]);
  for (const [, path = "", snippet] of snippets) {
    expect(snippet).toBe(read(path).replace(/^(\/\/.*\n)+/, ""));
  }
});

test("the site leads to every page of the docs", () => {
  const config = read("site/.vitepress/config.mjs");
  const links = [...config.matchAll(/\["[^"]+", "([\w-]+)"\]/g)].map(([, name]) => `${name}.md`);
  const there = readdirSync(join(ROOT, "docs")).filter(
    (name) => name.endsWith(".md") && name !== "README.md",
  );
  expect(links.sort()).toEqual(there.sort());
});

describe("tables", () => {
  test.each(PAGES)("%s has as many cells in each row as in the header", (page) => {
    expect(tableFaults(read(page))).toEqual([]);
  });

  test.each(PAGES.filter((page) => page !== GENERATED))(
    "%s has tables that can be read as they are",
    (page) => {
      const rows = withoutCode(read(page)).match(/^ *\|.*/gm) ?? [];
      expect(rows.filter((row) => row.length > 120)).toEqual([]);
    },
  );

  test.each([
    // Four cells as in the header, but the border that was part of the code has swallowed the meaning.
    ["| `f` | `(a) => b \\   | undefined`   | none |", "a border cuts code in two"],
    ["| `f` | `a | b` | none |", "a border cuts code in two"],
    ["| `f` | 1 | none |", "3 cells under a header of 4"],
    ["| `f` | 1 | none | text | more |", "5 cells under a header of 4"],
  ])("%s is seen to be broken", (row, fault) => {
    const table = `| name | type | default | meaning |\n| --- | --- | --- | --- |\n${row}\n`;
    expect(tableFaults(table)).toEqual([expect.stringContaining(fault)]);
  });

  test("an escaped border is none", () => {
    expect(tableFaults("| name | type |\n| --- | --- |\n| `f` | `a \\| b` |\n")).toEqual([]);
  });
});

test.each(PAGES)("every link of %s leads somewhere", (page) => {
  const broken = linksOf(read(page)).filter(({ path, anchor }) => {
    const target = path === "" ? page : join(dirname(page), path);
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== "" && !(target.endsWith(".md") && anchorsOf(read(target)).includes(anchor));
  });
  expect(broken).toEqual([]);
});

/** Where a page may mean a path from: the root, itself, or sources that it is about. */
const BASES = [
  "",
  "test/src",
  "examples/cluster",
  "examples/nestjs",
  "bench/src",
  ...PACKAGES.map((name) => `packages/${name}/src`),
];

test.each(PAGES.filter((page) => page !== GENERATED))("every source file that %s names exists", (page) => {
  const files = /(?<![\w@./-])(?:[\w.-]+\/)+[\w.-]+\.(?:ts|mjs|js)\b/g;
  const folders = /(?<![\w@./-])packages\/\w+\/src(?:\/[\w-]+)*(?![\w./-]*\.ts)/g;
  const named = [files, folders].flatMap((pattern) => read(page).match(pattern) ?? []);
  const bases = [dirname(page), ...BASES];
  // TypeScript imports sources by the names of what they are compiled to.
  const isThere = (path: string) =>
    [path, path.replace(/\.js$/, ".ts")].some((each) =>
      bases.some((base) => existsSync(join(ROOT, base, each))),
    );
  expect([...new Set(named)].filter((path) => !isThere(path))).toEqual([]);
});

test.each(PAGES)("every error code that %s names exists", (page) => {
  const codes = PACKAGES.flatMap(
    (name) => read(`packages/${name}/src/errors.ts`).match(/(?<=")HOLDFAST_\w+/g) ?? [],
  );
  const named = read(page).match(/HOLDFAST_ERR_\w+/g) ?? [];
  expect(named.filter((code) => !codes.includes(code))).toEqual([]);
});

test.each(PACKAGES)("CONTRIBUTING.md describes every folder of @holdfast/%s, and no other", (name) => {
  const folder = `packages/${name}/src`;
  const [, chapter = ""] = read("CONTRIBUTING.md").split(`### \`${folder}\`\n`);
  const [list = ""] = chapter.split(/^##/m);
  const described = [...list.matchAll(/^- `([\w-]+)\/`:/gm)].map(([, each]) => each);
  const entries = readdirSync(join(ROOT, folder), { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  expect(folders.length).toBeGreaterThan(0);
  expect(described.sort()).toEqual(folders.sort());
});

test("CI runs on the oldest Node.js that is supported", () => {
  const { engines } = JSON.parse(read("package.json"));
  const oldest = engines.node.replace(">=", "");
  expect(read(".github/workflows/ci.yml")).toMatch(new RegExp(`node: \\["${oldest}\\.0"`));
  expect(withoutCode(read("README.md"))).toContain(`Node.js ${oldest} or later`);
});

test("docs/performance.md names benches that exist", () => {
  const folder = "bench/src/benches";
  const benches = readdirSync(join(ROOT, folder)).flatMap(
    (file) => read(`${folder}/${file}`).match(/(?<=^ {2}name: ")[\w-]+(?=",$)/gm) ?? [],
  );
  const named = read("docs/performance.md").match(
    /(?<=`)(?:adapter-\w+|client-\w+|hub-\w+|sticky-\w+|start-\w+|recovery)(?=`)/g,
  );
  expect(named?.filter((name) => !benches.includes(name))).toEqual([]);
  expect(new Set(named).size).toBeGreaterThan(10);
});

test("the pages tell how deep values may be", () => {
  const depth = new RegExp(`more than ${MAX_DEPTH.toLocaleString("en")} (?:objects )?deep`);
  for (const page of ["docs/security.md", "docs/adapter.md"]) expect(read(page)).toMatch(depth);
});

describe("docs/protocol.md", () => {
  const page = read("docs/protocol.md");

  test.each([
    ["### Frame kinds", FrameKind],
    ["## The messages of `@holdfast/sticky`", StickyKind],
    ["### Links between workers", FrameType],
    ["## The messages of `@holdfast/cluster`", ClusterKind],
  ])("has everything of %s with its number", (heading, kinds) => {
    const [, after = ""] = page.split(`${heading}\n`);
    const [chapter = ""] = after.split(/^#+ /m);
    const entries = [...chapter.matchAll(/^- \*\*`(\w+)`, (\d+)\*\*/gm)];
    expect(Object.fromEntries(entries.map(([, kind, number]) => [kind, Number(number)]))).toEqual({
      ...kinds,
    });
  });

  test("says which version of each protocol it is about", () => {
    const said = [
      ...page.matchAll(/(?:, version |version of their own, |[Vv]ersion is (?:that of the links, )?)(\d+)/g),
    ];
    expect(said.map(([, version]) => Number(version))).toEqual([
      ADAPTER_VERSION,
      STICKY_VERSION,
      LINK_VERSION,
      HOST_VERSION,
      CLUSTER_VERSION,
    ]);
  });

  test("shows a frame as the code writes it", () => {
    const [, lines = ""] = page.match(/```hex\n(.*?)```/s) ?? [];
    const shown = lines
      .split("\n")
      .map((line) => line.match(/^[0-9a-f]{2}( [0-9a-f]{2})*(?= |$)/)?.[0] ?? "");

    const written: Buffer[] = [];
    const link = {
      kind: "pipe" as const,
      pendingBytes: 0,
      write: (chunks: readonly Buffer[]) => void written.push(...chunks.map((chunk) => Buffer.from(chunk))),
      end: () => {},
      close: () => {},
    };
    const outbox = new Outbox(link);
    outbox.begin(FrameKind.broadcast, 0, 1);
    outbox.key(new NamespaceKeys("0123456789abcdef0123456789abcdef", "/socket.io\n/").of("tea"));
    outbox.names(new Set(["tea"]));
    outbox.names(new Set());
    PreparedPacket.encode(new Server().of("/"), { type: 2, data: ["hi", 1] }).write(outbox);
    outbox.end();
    outbox.flush();
    expect(shown.join("").replaceAll(" ", "")).toBe(Buffer.concat(written).toString("hex"));
  });
});
