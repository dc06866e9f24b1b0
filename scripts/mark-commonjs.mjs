/**
 * Tells Node.js and the compiler that the second build of each package is CommonJS, whatever the package itself says:
 * tsc writes no package.json. To be run before tsc: what imports that build is compiled in the same run.
 * Usage: node scripts/mark-commonjs.mjs
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { writeChanged } from "./write-changed.mjs";

const packages = new URL("../packages/", import.meta.url);
for (const name of readdirSync(packages)) {
  if (!existsSync(new URL(`${name}/tsconfig.cjs.json`, packages))) continue;
  const build = new URL(`${name}/dist/cjs/`, packages);
  mkdirSync(build, { recursive: true });
  writeChanged(new URL("package.json", build), '{ "type": "commonjs" }\n');
}
