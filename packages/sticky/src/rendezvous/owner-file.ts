/**
 * Says in a private directory whose it is, so that what a killed process has left can be told from what is in use.
 * Owns: the format. Runs in: primary and workers.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

export const OWNER_FILE = "owner";

/** `<process id> <where that id counts>` */
const FORMAT = /^(\d{1,10}) (.+)$/;

let where: string | undefined;

/** A process id means something until the machine starts anew, and only within its namespace. */
function namespaceOfProcesses(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    where ??= `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    where ??= hostname();
  }
  return where;
}

export function ownIdentity(pid = process.pid): string {
  return `${pid} ${namespaceOfProcesses()}`;
}

/** Whether an identity is of a process that certainly lives no more. */
export function isOfTheDead(identity: string): boolean {
  const [, pid, namespace] = FORMAT.exec(identity) ?? [];
  if (pid === undefined || namespace !== namespaceOfProcesses()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
