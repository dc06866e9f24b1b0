/** The hub processes that workers start by themselves, as a test finds them: by the directory in which they listen. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { within } from "@holdfast/harness";

const PACKAGE = new URL("../../../packages/adapter/package.json", import.meta.url);
/** What `npx holdfast-hub` runs. */
export const HUB_PROGRAM = fileURLToPath(
  new URL(JSON.parse(readFileSync(PACKAGE, "utf8")).bin["holdfast-hub"], PACKAGE),
);

export interface Listed {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
}

const PROGRAM = "hub-command.js";
/** How often it is looked again. */
const LOOK_MS = 10;

/** Those whose socket is below `directory`. */
export function hubProcesses(directory: string): Listed[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isHubIn(directory, pid))
    .flatMap(listed);
}

/** Kills what is left of them; for after a test, when no worker is left that would start another one. */
export function endHubProcesses(directory: string): void {
  if (!existsSync("/proc")) return;
  for (const { pid } of hubProcesses(directory)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** The sockets of hubs below `directory`, and what else is in their directories. */
export function rendezvousFiles(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.startsWith("holdfast-"))
    .flatMap((name) => [name, ...readdirSync(join(directory, name)).map((file) => join(name, file))]);
}

/** Waits for a state of processes or files, which has no event. */
export async function untilFound<T>(what: string, find: () => T | false | undefined): Promise<T> {
  const looking = (async () => {
    for (;;) {
      const found = find();
      if (found) return found;
      await new Promise((done) => setTimeout(done, LOOK_MS));
    }
  })();
  return within(looking, what);
}

function isHubIn(directory: string, pid: number): boolean {
  const args = read(`/proc/${pid}/cmdline`).split("\0");
  // The process that starts it has the same arguments, behind its own.
  return args[1]?.endsWith(PROGRAM) === true && args.some((arg) => arg.startsWith(directory));
}

function listed(pid: number): Listed[] {
  const stat = read(`/proc/${pid}/stat`);
  const [, parent, , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return parent && session ? [{ pid, parent: Number(parent), session: Number(session) }] : [];
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
