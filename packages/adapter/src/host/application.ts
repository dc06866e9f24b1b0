/**
 * Which processes belong to one application, and the rendezvous directory where they find each other.
 * Owns: nothing. Runs in: workers. `@holdfast/sticky` goes by the same rule.
 */
import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { processWide } from "../process-wide.js";
import { wholePathIfAny } from "../whole-path.js";
import { startTimeOf } from "./process-mark.js";
import { isPrivate, lookAt, MAX_PATH_BYTES } from "./socket-path.js";

const HASH_CHARS = 16;
/** A socket's path must be short. */
const SHORT_PLACE = "/tmp";
const SOCKET_NAME = "hub.sock";
const MARKER_NAME = "hub.starting";

/** The hub's socket. Found out once: when the parent ends, it is not to be seen any more. */
export function rendezvousSocket(): string {
  return processWide("rendezvous", () => join(directoryOf(process.env), SOCKET_NAME));
}

/** Is there while a worker starts the hub of that socket. */
export function startMarker(socketPath: string): string {
  return join(dirname(socketPath), MARKER_NAME);
}

/** @param env the environment of a worker of this process' parent */
export function directoryOf(env: NodeJS.ProcessEnv): string {
  const hash = createHash("sha256")
    .update(JSON.stringify(identityOf(env)))
    .digest("hex")
    .slice(0, HASH_CHARS);
  const name = `holdfast-${uid()}-${hash}`;
  return join(placesOf(env).find((place) => fits(join(place, name))) ?? SHORT_PLACE, name);
}

function fits(directory: string): boolean {
  return Buffer.byteLength(join(directory, MARKER_NAME)) <= MAX_PATH_BYTES;
}

/**
 * PM2's workers go by what PM2 knows of the application: its daemon, the parent of all, has many. Others go by their
 * parent, of which the number may be used again. The folder keeps copies of one application apart.
 */
function identityOf(env: NodeJS.ProcessEnv): unknown[] {
  // A primary that PM2 runs as a single process has workers who inherit its variables.
  if (env.pm_id !== undefined && env.exec_mode === "cluster_mode") {
    const { PM2_HOME = "", namespace = "", name = "", pm_exec_path = "" } = env;
    return ["pm2", uid(), PM2_HOME, namespace, name, dirname(pm_exec_path)];
  }
  return ["parent", uid(), process.ppid, startTimeOf(process.ppid) ?? "", mainFolder()];
}

/** $XDG_RUNTIME_DIR is nobody else's; in the temporary folder, others can see the names. */
function placesOf({ XDG_RUNTIME_DIR: own = "" }: NodeJS.ProcessEnv): string[] {
  const temporary = wholePathIfAny(tmpdir()) ?? SHORT_PLACE;
  try {
    const stats = isAbsolute(own) ? lookAt(own) : undefined;
    if (stats && isPrivate(stats)) return [own, temporary];
  } catch {
    // What cannot be looked at will not do.
  }
  return [temporary];
}

function mainFolder(): string {
  let [, main] = process.argv;
  try {
    main ??= process.cwd();
    return dirname(realpathSync(main));
  } catch {
    // Without a file, in a directory that has been removed, it is in none.
    return dirname(main ?? "");
  }
}

function uid(): number {
  return process.geteuid?.() ?? 0;
}
