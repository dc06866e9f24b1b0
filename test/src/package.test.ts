/** What is published: packed, put into an empty folder, and loaded as a user would load it. */
import { execFile } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PACKAGES, type PackageName, pack } from "./harness/packed.js";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** What each role of a cluster is set up with. */
const FUNCTIONS = {
  adapter: ["createAdapter", "setupPrimary"],
  sticky: ["setupMaster", "setupPrimary", "setupWorker"],
  cluster: ["joinCluster", "startCluster"],
};

let folder: string;
const tarballs = {} as Record<PackageName, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-package-"));
  for (const name of PACKAGES) await install(name);
  // pnpm takes its time on a busy machine.
}, 180_000);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Packs a package and unpacks it into node_modules; what it depends on is linked, so no network is needed. */
async function install(name: PackageName): Promise<void> {
  tarballs[name] = await pack(name, folder);
  const source = join(ROOT, "packages", name);
  const target = join(folder, "node_modules", "@holdfast", name);
  await mkdir(target, { recursive: true });
  await run("tar", ["-xzf", tarballs[name], "-C", target, "--strip-components=1"]);
  const { dependencies = {}, peerDependencies = {} } = JSON.parse(
    await readFile(join(target, "package.json"), "utf8"),
  );
  const foreign = Object.keys({ ...dependencies, ...peerDependencies }).filter(
    (dependency) => !dependency.startsWith("@holdfast/"),
  );
  for (const dependency of foreign) {
    const link = join(folder, "node_modules", dependency);
    await symlink(await realpath(join(source, "node_modules", dependency)), link, "dir").catch((error) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
}

describe.each(PACKAGES)("the tarball of @holdfast/%s", (name) => {
  it.each([
    ["CommonJS", "commonjs", `const exported = require("@holdfast/${name}");`],
    ["an ES module", "module", `import * as exported from "@holdfast/${name}";`],
  ])("loads in %s without a warning", async (_, type, load) => {
    const script = join(folder, `${name}-${type}.${type === "module" ? "mjs" : "cjs"}`);
    await writeFile(
      script,
      `${load}\nconsole.log(JSON.stringify(Object.entries(exported)
      .map(([name, value]) => [name, typeof value])));`,
    );
    const { stdout, stderr } = await run(process.execPath, [script], { cwd: folder });
    expect(stderr).toBe("");
    const exported = new Map<string, string>(JSON.parse(stdout));
    for (const wanted of FUNCTIONS[name])
      expect([wanted, exported.get(wanted)]).toEqual([wanted, "function"]);
  });

  it("holds what it should, and nothing else", async () => {
    const { stdout } = await run("tar", ["-tzf", tarballs[name]]);
    const files = stdout.trim().split("\n").sort();
    const modules = ["dist/index.d.ts", "dist/bundle/index.js"];
    const commonJs = ["dist/cjs/package.json", "dist/cjs/index.d.ts", "dist/cjs/index.js"];
    for (const wanted of ["package.json", "LICENSE", ...modules, ...commonJs]) {
      expect(files).toContain(`package/${wanted}`);
    }
    expect(files.filter((file) => /\.test(-d)?\.|\.tsbuildinfo|\/src\/|\/test\//.test(file))).toEqual([]);
  });

  it("has no install script and no left-over workspace version", async () => {
    const manifest = JSON.parse(
      await readFile(join(folder, "node_modules", "@holdfast", name, "package.json"), "utf8"),
    );
    expect(Object.keys(manifest.scripts ?? {}).filter((script) => /install|prepare/.test(script))).toEqual(
      [],
    );
    expect(JSON.stringify(manifest)).not.toContain("workspace:");
  });

  it("passes publint", async () => {
    await tool("publint", [tarballs[name], "--strict"]);
  });

  it("passes are-the-types-wrong, however modules are resolved", async () => {
    await tool("attw", [tarballs[name], "--profile", "strict", "--no-color", "--no-emoji"]);
  });
});

it("is not touched by a build that changes nothing, so that who loads it meanwhile finds it whole", async () => {
  const packages = join(ROOT, "packages");
  const bundled = PACKAGES.flatMap((name) => {
    const folder = join(packages, name, "dist", "bundle");
    return readdirSync(folder).map((file) => join(folder, file));
  });
  const states = () => bundled.map((file) => [file, statSync(file).ino, statSync(file).mtimeMs]);
  const before = states();
  await run(process.execPath, [join(ROOT, "scripts", "bundle.mjs")]);
  expect(states()).toEqual(before);
});

it("an ES module and CommonJS in one process share the hub and the router", async () => {
  const script = join(folder, "both.cjs");
  await writeFile(
    script,
    `const { createServer } = require("node:http");
    const required = { ...require("@holdfast/adapter"), router: require("@holdfast/sticky").setupPrimary };
    Promise.all([import("@holdfast/adapter"), import("@holdfast/sticky")]).then(([adapter, sticky]) => {
      const codes = [];
      const attempt = (call) => {
        try {
          return call();
        } catch (error) {
          codes.push([error.code, error instanceof required.HoldfastError]);
        }
      };
      const httpServer = createServer();
      const handles = [required.setupPrimary(), required.router(httpServer)];
      attempt(() => adapter.setupPrimary());
      attempt(() => sticky.setupPrimary(httpServer));
      for (const handle of handles) handle.close();
      for (const handle of [adapter.setupPrimary(), sticky.setupPrimary(httpServer)]) handle.close();
      console.log(JSON.stringify([codes, adapter.setupPrimary === required.setupPrimary]));
    });`,
  );
  const { stdout, stderr } = await run(process.execPath, [script], { cwd: folder });
  expect(stderr).toBe("");
  const taken = ["HOLDFAST_ERR_ALREADY_SET_UP", true];
  expect(JSON.parse(stdout)).toEqual([[taken, taken], false]);
});

it("they share the way to other hosts, too", async () => {
  const script = join(folder, "both-hosts.cjs");
  await writeFile(
    script,
    `const { EventEmitter } = require("node:events");
    const { createServer } = require("node:http");
    const required = require("@holdfast/sticky");
    const make = () => Object.assign(new EventEmitter(),
      { name: "h", secret: undefined, others: [], ready: async () => {}, publish: async () => {}, suspect() {} });
    import("@holdfast/sticky").then(async (sticky) => {
      const [hosts, others] = [make(), make()];
      const handles = [required, sticky].map((copy, i) => copy.setupPrimary(createServer(), { hosts, name: String(i) }));
      try {
        sticky.setupPrimary(createServer(), { hosts: others, name: "2" });
      } catch ({ code }) {
        console.log(code);
      }
      for (const handle of handles) await handle.close();
    });`,
  );
  const { stdout, stderr } = await run(process.execPath, [script], { cwd: folder });
  expect(stderr).toBe("");
  expect(stdout).toBe("HOLDFAST_ERR_ALREADY_SET_UP\n");
});

it("the command line of the tarball runs", async () => {
  const bin = join(folder, "node_modules", "@holdfast", "cluster", "bin", "holdfast.js");
  const { stdout, stderr } = await run(process.execPath, [bin, "--help"], { cwd: folder });
  expect(stderr).toBe("");
  expect(stdout).toContain("Usage: holdfast <command>");
});

/** Runs a development tool of the workspace; its output is in the error if it fails. */
async function tool(name: string, args: string[]): Promise<void> {
  const bin = join(ROOT, "node_modules", ".bin", name);
  await run(bin, args, { cwd: folder, shell: process.platform === "win32" }).catch((error) => {
    throw new Error(`${name} ${args.join(" ")} failed:\n${error.stdout}${error.stderr}`);
  });
}
