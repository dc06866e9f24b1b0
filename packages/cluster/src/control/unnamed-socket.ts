/**
 * Control sockets that have no name yet, or none any more: a file for moments, which only its process knows.
 * Owns: how such files are called, and the removal of those whose processes were killed. Runs in: primary.
 */
import { randomBytes } from "node:crypto";
import { lstatSync, readdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { isForsaken } from "./socket-file.js";

const PREFIX = ".hf-";
const RANDOM_BYTES = 6;
const PATTERN = /^\.hf-[\w-]{8}$/;
/** A younger one may be bound and not listen yet. */
const YOUNG_MS = 60_000;

/** A name that is as long as all of them. */
export const UNNAMED = `${PREFIX}12345678`;

/**
 * A path that no other process has: in containers that share the directory, processes may have the same number.
 */
export function unnamedPath(directory: string): string {
  return join(directory, PREFIX + randomBytes(RANDOM_BYTES).toString("base64url"));
}

/** Removes those on which nobody listens any more. Never rejects: what may not be looked at or removed stays. */
export async function removeForsaken(directory: string): Promise<void> {
  for (const path of unnamedIn(directory)) {
    try {
      if (Date.now() - lstatSync(path).mtimeMs > YOUNG_MS && (await isForsaken(path))) unlinkSync(path);
    } catch {
      // Another process may have been faster.
    }
  }
}

function unnamedIn(directory: string): string[] {
  try {
    const names = readdirSync(directory).filter((name) => PATTERN.test(name));
    return names.map((name) => join(directory, name));
  } catch {
    return [];
  }
}
