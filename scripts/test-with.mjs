/**
 * Runs tests with other versions of Node.js or of packages than this machine and the lockfile have, in a copy of the
 * working tree that is thrown away.
 * Usage: node scripts/test-with.mjs <name=version ...> [-- <arguments of vitest>]
 * For example: node scripts/test-with.mjs node=22 socket.io=4.7.5 -- test/src/adapter
 */
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const { versions, filters } = readArguments(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), "holdfast-with-"));
try {
  copyTo(folder);
  const { node, ...packages } = versions;
  // Built with what the lockfile has, as the published packages are, whatever they run with later.
  run("node", ["scripts/pnpm.mjs", "install", "--frozen-lockfile", "--prefer-offline", "--reporter=silent"]);
  run("npm", ["run", "--silent", "compile"]);
  if (Object.keys(packages).length > 0) override(packages);
  const env = node === undefined ? process.env : withNode(node);
  process.exitCode = spawnSync("node", ["node_modules/vitest/vitest.mjs", "run", ...filters], {
    cwd: folder,
    env,
    stdio: "inherit",
  }).status;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function readArguments(args) {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const pairs = args.slice(0, end).map((arg) => arg.split("="));
  if (pairs.length === 0 || pairs.some(({ length }) => length !== 2)) {
    console.error("Usage: node scripts/test-with.mjs <name=version ...> [-- <arguments of vitest>]");
    process.exit(2);
  }
  return { versions: Object.fromEntries(pairs), filters: args.slice(end + 1) };
}

/** What git has or would take, as it is now. */
function copyTo(target) {
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "--deduplicate", "-z"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  for (const file of listed.split("\0").filter(Boolean)) cpSync(join(ROOT, file), join(target, file));
}

/** pnpm gives these versions to all packages of the workspace, whatever they ask for. */
function override(packages) {
  const pairs = Object.entries(packages);
  const lines = pairs.map(([name, version]) => `  "${name}": "${version}"\n`);
  appendFileSync(join(folder, "pnpm-workspace.yaml"), `\noverrides:\n${lines.join("")}`);
  run("node", [
    "scripts/pnpm.mjs",
    "install",
    "--no-frozen-lockfile",
    "--prefer-offline",
    "--reporter=silent",
  ]);
  console.log(`with ${pairs.map((pair) => pair.join(" ")).join(", ")}`);
}

/** The environment with another Node.js, which the registry has as a package. */
function withNode(version) {
  const prefix = join(folder, "node_modules", ".node");
  mkdirSync(prefix);
  run("npm", [
    "install",
    "--prefix",
    prefix,
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    `node@${version}`,
  ]);
  const env = {
    ...process.env,
    PATH: join(prefix, "node_modules", "node", "bin") + delimiter + process.env.PATH,
  };
  console.log(`with node ${execFileSync("node", ["--version"], { env, encoding: "utf8" }).trim()}`);
  return env;
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    cwd: folder,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
}
