/**
 * Which processes belong together where no router says so: the workers of one parent, or, under PM2, those of one
 * application, whichever daemon has started them.
 * Owns: nothing. Runs in: workers.
 *
 * `@holdfast/adapter` goes by the same rule: the two packages share no code, but the directory.
 */
import { createHash } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { encodeTag } from "../wire/owner-mark.js";

/** What the processes of one application have in common. */
export interface Application {
  /** Name of its private directory. */
  readonly directoryName: string;
  /** Stands in front of every session id. */
  readonly tag: string;
  /** Opens the private sockets. What keeps strangers away is the directory. */
  readonly secret: string;
}

/** The application of this process. The parent is the one that has started it: ask before it may end. */
export function ownApplication(env: NodeJS.ProcessEnv = process.env, ppid = process.ppid): Application {
  const text = JSON.stringify(identityOf(env, ppid));
  const hash = digest(text);
  return {
    directoryName: `holdfast-${uid()}-${hash.toString("hex", 0, 8)}`,
    tag: encodeTag(hash.subarray(8)),
    secret: digest(`secret ${text}`).toString("base64url"),
  };
}

/**
 * PM2's daemon is the parent of many applications, and names them. Others go by their parent, whose number may be used
 * again. The folder keeps copies of one application apart.
 */
function identityOf(env: NodeJS.ProcessEnv, ppid: number): unknown[] {
  // A primary that PM2 runs as a single process has workers who inherit its variables.
  if (env.pm_id !== undefined && env.exec_mode === "cluster_mode") {
    const { PM2_HOME = "", namespace = "", name = "", pm_exec_path = "" } = env;
    return ["pm2", uid(), PM2_HOME, namespace, name, dirname(pm_exec_path)];
  }
  return ["parent", uid(), ppid, startTimeOf(ppid), mainFolder()];
}

/** A process id is used again; with this it is not. Empty where the system does not tell. */
function startTimeOf(pid: number): string {
  try {
    // The name, which may have spaces, is in brackets: field 3 comes after the last of them.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
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

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
