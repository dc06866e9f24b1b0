/**
 * The compiler builds projects at the same time, and orders them by `references` alone: a project that reads what
 * another one makes, and does not refer to it, compiles or does not by luck.
 */
import { execFile } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TSC = join(ROOT, "node_modules", ".bin", "tsc");

/** The configurations that one refers to. */
function referencesOf(config: string): string[] {
  const { references = [] } = JSON.parse(readFileSync(config, "utf8"));
  return references.map(({ path }: { path: string }) => {
    const target = join(dirname(config), path);
    return statSync(target).isDirectory() ? join(target, "tsconfig.json") : target;
  });
}

/** All that is built before a project, whatever the compiler does at the same time. */
function builtBefore(config: string): Set<string> {
  const found = new Set<string>();
  const queue = referencesOf(config);
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    queue.push(...referencesOf(next));
  }
  return found;
}

const PROJECTS = referencesOf(join(ROOT, "tsconfig.json"));
const folderOf = (config: string) =>
  join(dirname(config), JSON.parse(readFileSync(config, "utf8")).compilerOptions.outDir);
/** The project whose folder a file is in; of `dist` and `dist/cjs`, the inner one. */
function makerOf(file: string): string | undefined {
  const makers = PROJECTS.filter((config) => file.startsWith(`${folderOf(config)}/`));
  return makers.sort((a, b) => folderOf(b).length - folderOf(a).length)[0];
}

test.each(PROJECTS.map((config) => config.slice(ROOT.length)))(
  "%s refers to all projects whose output it reads",
  async (name) => {
    const config = join(ROOT, name);
    const { stdout } = await run(TSC, ["-p", config, "--listFilesOnly"], { maxBuffer: 2 ** 24 });
    const files = stdout.trim().split("\n");
    expect(files.every((file) => existsSync(file))).toBe(true);
    const makers = new Set(files.map(makerOf).filter((maker) => maker !== undefined));
    const before = builtBefore(config);
    const missing = [...makers].filter((maker) => maker !== config && !before.has(maker));
    expect(missing, "add them to the references of this project").toEqual([]);
  },
);
