/**
 * Runs tests with another version of Node.js or of packages than this machine and the lockfile have. Other packages are
 * installed in a copy of the working tree that is thrown away; another Node.js runs what is built here.
 * Usage: node scripts/test-with.mjs <name=version ...> [-- <arguments of vitest>]
 * For example: node scripts/test-with.mjs node=22 socket.io=4.7.5 -- test/src/adapter
 */
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, chmodSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const { versions, filters } = readArguments(process.argv.slice(2));
const folders = [];
try {
  const { node, ...packages } = versions;
  const cwd = Object.keys(packages).length > 0 ? copyWith(packages) : ROOT;
  const env = node === undefined ? process.env : withNode(node);
  const vitest = ["node_modules/vitest/vitest.mjs", "run", ...filters];
  process.exitCode = spawnSync("node", vitest, { cwd, env, stdio: "inherit" }).status ?? 1;
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
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

function makeFolder() {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-with-"));
  folders.push(folder);
  // Tests run what is in it as other users as well.
  chmodSync(folder, 0o755);
  return folder;
}

/** A copy of what git has or would take, as it is now, with these packages. */
function copyWith(packages) {
  const folder = makeFolder();
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "--deduplicate", "-z"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  for (const file of listed.split("\0").filter(Boolean)) cpSync(join(ROOT, file), join(folder, file));
  // Built with what the lockfile has, as the published packages are, whatever they run with later.
  install(folder, "--frozen-lockfile");
  run("npm", ["run", "--silent", "compile"], folder);
  const pairs = Object.entries(packages);
  // pnpm gives these versions to all packages of the workspace, whatever they ask for.
  const lines = pairs.map(([name, version]) => `  "${name}": "${version}"\n`);
  appendFileSync(join(folder, "pnpm-workspace.yaml"), `\noverrides:\n${lines.join("")}`);
  install(folder, "--no-frozen-lockfile");
  console.log(`with ${pairs.map((pair) => pair.join(" ")).join(", ")}`);
  return folder;
}

function install(folder, lockfile) {
  run("node", ["scripts/pnpm.mjs", "install", lockfile, "--prefer-offline", "--reporter=silent"], folder);
}

/** The environment with another Node.js, which the registry has as a package. */
function withNode(version) {
  const prefix = makeFolder();
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline"];
  run("npm", ["install", "--prefix", prefix, ...quiet, `node@${version}`], prefix);
  const bin = join(prefix, "node_modules", "node", "bin");
  const env = { ...process.env, PATH: bin + delimiter + process.env.PATH };
  console.log(`with node ${execFileSync("node", ["--version"], { env, encoding: "utf8" }).trim()}`);
  return env;
}

function run(command, args, cwd) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
}
