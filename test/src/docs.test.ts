/** The words of the repository agree with its code: codes, options, links, numbers on the wire, snippets. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { Server } from "socket.io";
import { describe, expect, test } from "vitest";
import { Outbox } from "../../packages/adapter/dist/link/outbox.js";
import { PreparedPacket } from "../../packages/adapter/dist/socketio/prepared-packet.js";
import { FrameKind } from "../../packages/adapter/dist/wire/frame.js";
import { roomKey } from "../../packages/adapter/dist/wire/room-key.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

function markdownFiles(folder = ROOT): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return /^(node_modules|dist|\.git)$/.test(entry.name) ? [] : markdownFiles(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

/** Files of a package, without its tests, as paths below `folder`. */
function sourceFiles(folder: string): string[] {
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" });
  return files.filter((file) => file.endsWith(".ts") && !file.includes(".test"));
}

/** What stands in code font in the first cell of a row of some table. */
function tableNames(markdown: string): string[] {
  const cells = markdown.match(/^\| [^|]*/gm) ?? [];
  return cells.flatMap((cell) => (cell.match(/`[^`]+`/g) ?? []).map((name) => name.slice(1, -1)));
}

/** Names of the fields of every exported interface that is called something with "Options". */
function optionNames(source: string): string[] {
  const bodies = [...source.matchAll(/^export interface \w*Options \{\n(.*?)^\}/gms)];
  return bodies.flatMap(([, body = ""]) =>
    [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name = ""]) => name),
  );
}

/** A page, or the part of the README that is about a package: both have codes and options of the same name. */
function about(name: string, page: string): string {
  const text = read(page);
  if (page !== "README.md") return text;
  const chapter = text.split(/^## /m).find((each) => each.split("\n", 1)[0]?.includes(`@holdfast/${name}`));
  if (!chapter) throw new Error(`${page} has no chapter about @holdfast/${name}`);
  return chapter;
}

const PACKAGES = [
  { name: "adapter", optionFiles: ["options.ts", "host/emitter.ts"] },
  { name: "sticky", optionFiles: ["options.ts"] },
];

describe.each(PACKAGES)("@holdfast/$name", ({ name, optionFiles }) => {
  const pages = ["README.md", `packages/${name}/README.md`, `docs/${name}.md`];
  const [union = ""] =
    read(`packages/${name}/src/errors.ts`).match(/^export type HoldfastErrorCode =.*?;$/ms) ?? [];
  const codes = union.match(/(?<=")HOLDFAST_ERR_\w+(?=")/g) ?? [];

  test.each(pages)("%s has every error code, and no other", (page) => {
    expect(codes.length).toBeGreaterThan(0);
    const documented = tableNames(about(name, page)).filter((each) => each.startsWith("HOLDFAST_ERR_"));
    expect(documented.sort()).toEqual(codes.toSorted());
  });

  test("every error code has a doc comment", () => {
    const commented = [...union.matchAll(/\*\/\s+\| "(HOLDFAST_ERR_\w+)"/g)].map(([, code]) => code);
    expect(commented).toEqual(codes);
  });

  test("every error code is given somewhere", () => {
    const folder = `packages/${name}/src`;
    const files = sourceFiles(folder).filter((file) => file !== "errors.ts");
    const sources = files.map((file) => read(join(folder, file))).join("\n");
    expect(codes.filter((code) => !sources.includes(`"${code}"`))).toEqual([]);
  });

  test.each(pages)("%s has every option", (page) => {
    const names = optionFiles.flatMap((file) => optionNames(read(`packages/${name}/src/${file}`)));
    expect(names.length).toBeGreaterThan(0);
    // docs/sticky.md tells the one option of setupWorker() in a sentence; it is the primary's `name` as well.
    expect(tableNames(about(name, page))).toEqual(expect.arrayContaining(names));
  });
});

test.each(PACKAGES)("CONTRIBUTING.md has every source file of @holdfast/$name, and no other", ({ name }) => {
  const folder = `packages/${name}/src`;
  const [, chapter = ""] = read("CONTRIBUTING.md").split(`### \`${folder}\`\n`);
  const [table = ""] = chapter.split(/^##/m);
  expect(tableNames(table).sort()).toEqual(sourceFiles(folder).sort());
});

test("every relative link leads somewhere", () => {
  const broken = markdownFiles().flatMap((file) => {
    const text = readFileSync(file, "utf8").replace(/^```.*?^```/gms, "");
    const targets = [...text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)].map(([, target = ""]) => target);
    return targets
      .filter((target) => !/^\w+:/.test(target) && !existsSync(join(dirname(file), target)))
      .map((target) => `${relative(ROOT, file)}: ${target}`);
  });
  expect(broken).toEqual([]);
});

test("a snippet under the name of a file is in that file", () => {
  const snippets = [...read("README.md").matchAll(/<!-- (\S+) -->\s+```js\n(.*?)```/gs)];
  expect(snippets.map(([, path]) => path)).toEqual(
    ["esm", "cjs"].map((kind) => `examples/cluster-${kind}/server.js`),
  );
  for (const [, path = "", snippet = ""] of snippets) expect(read(path)).toContain(snippet);
});

describe("docs/protocol.md", () => {
  const page = read("docs/protocol.md");

  test("has every frame kind with its number", () => {
    const chapter = page.slice(page.indexOf("### Frame kinds"), page.indexOf("### Flags"));
    const rows = [...chapter.matchAll(/^\| `(\w+)` +\| (\d+) /gm)];
    expect(Object.fromEntries(rows.map(([, kind, number]) => [kind, Number(number)]))).toEqual({
      ...FrameKind,
    });
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
    const outbox = new Outbox(link, 1_024, { onFull: () => {} });
    outbox.begin(FrameKind.broadcast, 0, 1);
    outbox.key(roomKey(1, "tea"));
    outbox.names(new Set(["tea"]));
    outbox.names(new Set());
    PreparedPacket.encode(new Server().of("/"), { type: 2, data: ["hi", 1] }).write(outbox);
    outbox.end();
    outbox.flush();
    expect(shown.join("").replaceAll(" ", "")).toBe(Buffer.concat(written).toString("hex"));
  });
});
