/**
 * Removes private directories whose processes were killed and could not.
 * Owns: nothing. Runs in: primary, once when it starts, and in the background.
 *
 * Only of the same user, and only if the process that is named in it certainly lives no more.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { isOfTheDead, OWNER_FILE } from "./owner-file.js";
import {
  DIRECTORY_NAME,
  inspectDirectory,
  placesForDirectories,
  removePrivateDirectory,
} from "./private-directory.js";

/** Never rejects. */
export async function removeStaleDirectories(places = placesForDirectories()): Promise<void> {
  for (const place of places) {
    const names = await readdir(place).catch(() => []);
    for (const name of names) if (DIRECTORY_NAME.test(name)) await removeIfStale(join(place, name));
  }
}

async function removeIfStale(directory: string): Promise<void> {
  if (inspectDirectory(directory) !== "ours") return;
  const identity = await readFile(join(directory, OWNER_FILE), "utf8").catch(() => "");
  if (isOfTheDead(identity)) removePrivateDirectory(directory);
}
