/**
 * Makes few files of the many that each package's ES modules are: a process that loads them starts three times as fast.
 * What the entries have in common is in files of its own, so that there is one of each class. CommonJS stays as tsc
 * makes it: loading that is quick.
 *
 * At every moment there is a whole bundle: whoever builds may run beside processes that are just loading it.
 * Usage: node scripts/bundle.mjs, after tsc
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { writeChanged } from "./write-changed.mjs";

/** What `exports` and `bin` of each package.json point to, and the modules that it is made of. */
const ENTRIES = {
  adapter: { index: "index", "redis-streams": "redis-streams", "hub-command": "host/hub-command" },
  sticky: { index: "index" },
  cluster: {
    index: "index",
    metrics: "metrics/collect",
    "live-status": "live-status",
    "command-line": "command-line/main",
  },
};

const packages = fileURLToPath(new URL("../packages/", import.meta.url));
for (const [name, entries] of Object.entries(ENTRIES)) await bundle(join(packages, name, "dist"), entries);

async function bundle(dist, entries) {
  const outdir = join(dist, "bundle");
  const { outputFiles } = await build({
    entryPoints: Object.entries(entries).map(([out, module]) => ({ out, in: join(dist, `${module}.js`) })),
    outdir,
    write: false,
    bundle: true,
    splitting: true,
    packages: "external",
    platform: "node",
    target: "node20.19",
    format: "esm",
    charset: "utf8",
    sourcemap: true,
    logLevel: "warning",
  });
  mkdirSync(outdir, { recursive: true });
  // Names of common files come from what is in them, so entries find theirs if those are there first.
  const isEntry = ({ path }) => basename(path).split(".")[0] in entries;
  for (const { path, contents } of outputFiles.toSorted((a, b) => isEntry(a) - isEntry(b))) {
    writeChanged(path, contents, isProgram(contents) ? 0o755 : 0o644);
  }
  const wanted = new Set(outputFiles.map(({ path }) => basename(path)));
  for (const file of readdirSync(outdir)) if (!wanted.has(file)) rmSync(join(outdir, file));
}

function isProgram(contents) {
  return Buffer.from(contents.subarray(0, 2)).toString() === "#!";
}
