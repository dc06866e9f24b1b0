/**
 * Tells Node.js that the second build of each package is CommonJS, whatever the package itself says: tsc writes
 * no package.json. Usage: node scripts/mark-commonjs.mjs
 */
import { existsSync, readdirSync, writeFileSync } from "node:fs";

const packages = new URL("../packages/", import.meta.url);
for (const name of readdirSync(packages)) {
  const build = new URL(`${name}/dist/cjs/`, packages);
  if (existsSync(build)) writeFileSync(new URL("package.json", build), '{ "type": "commonjs" }\n');
}
