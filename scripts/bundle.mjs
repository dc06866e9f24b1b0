/**
 * Makes few files of the many that each package's ES modules are: a process that loads them starts three times as fast.
 * What the entries have in common is in files of its own, so that there is one of each class. CommonJS stays as tsc
 * makes it: loading that is quick.
 * Usage: node scripts/bundle.mjs, after tsc
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

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
for (const [name, entries] of Object.entries(ENTRIES)) {
  const dist = join(packages, name, "dist");
  rmSync(join(dist, "bundle"), { recursive: true, force: true });
  await build({
    entryPoints: Object.entries(entries).map(([out, module]) => ({ out, in: join(dist, `${module}.js`) })),
    outdir: join(dist, "bundle"),
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
}
