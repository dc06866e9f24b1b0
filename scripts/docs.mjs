/**
 * The documentation site: serves it, or builds it into site/dist. What builds it is installed the first time: neither
 * `npm start` nor `npm test` needs it. Usage: node scripts/docs.mjs dev|build|preview
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const vitepress = `${root}site/node_modules/vitepress/bin/vitepress.js`;

if (!existsSync(vitepress)) {
  run("scripts/pnpm.mjs", "--dir", "site", "install", "--ignore-workspace", "--frozen-lockfile");
}
run(vitepress, process.argv[2] ?? "dev", "site");

function run(...args) {
  const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}
