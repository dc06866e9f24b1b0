/**
 * Puts the files of the dashboard's page into a module, so that they are there wherever the package is: as an ES module,
 * as CommonJS, and in a bundle. Usage: node scripts/dashboard.mjs
 */
import { readdirSync, readFileSync } from "node:fs";
import { writeChanged } from "./write-changed.mjs";

const folder = new URL("../packages/cluster/src/dashboard/", import.meta.url);
const page = new URL("page/", folder);
const target = new URL("page-files.ts", folder);

const files = readdirSync(page)
  .sort()
  .map((name) => `  ${JSON.stringify(name)}: ${JSON.stringify(readFileSync(new URL(name, page), "utf8"))},`);
const text = `/** The files in page/, made by scripts/dashboard.mjs. Runs in: primary. */
export const PAGE_FILES: Readonly<Record<string, string>> = {
${files.join("\n")}
};
`;
// What has not changed is not compiled again.
writeChanged(target, text);
