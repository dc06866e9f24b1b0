/**
 * Runs pnpm at the version that package.json pins, on a machine that has only Node and npm.
 * Usage: node scripts/pnpm.mjs <arguments of pnpm>
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const root = new URL("../", import.meta.url);
const { packageManager } = JSON.parse(readFileSync(new URL("package.json", root), "utf8"));
const npm = process.platform === "win32" ? "npm.cmd" : "npm";
const { status, error } = spawnSync(
  npm,
  ["exec", "--yes", `--package=${packageManager}`, "--", "pnpm", ...process.argv.slice(2)],
  { cwd: root, stdio: "inherit", shell: process.platform === "win32" },
);
if (error) throw error;
process.exit(status ?? 1);
