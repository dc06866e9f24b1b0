/** Writes what a build makes: nothing if it is there already, and never half of it. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * @param {string | URL} file
 * @param {string | Uint8Array} contents
 */
export function writeChanged(file, contents, mode = 0o644) {
  const path = file instanceof URL ? fileURLToPath(file) : file;
  const bytes = Buffer.from(contents);
  if (existsSync(path) && readFileSync(path).equals(bytes)) return;
  writeFileSync(`${path}.new`, bytes, { mode });
  renameSync(`${path}.new`, path);
}
