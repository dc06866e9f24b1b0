/**
 * Where the control sockets of a user's clusters are: a directory that nobody else can use.
 * Owns: nothing that lasts; the directory stays, for the next cluster. Runs in: primary, and the command line.
 */
import { lstatSync, mkdirSync, readdirSync, type Stats } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { wholePath } from "../directories.js";
import { codeOf, HoldfastError } from "../errors.js";
import { NAME } from "../wire/control-messages.js";
import { whyTooLong } from "./socket-file.js";

const ENDING = ".sock";
const SHORTER = "Set XDG_RUNTIME_DIR or TMPDIR to a shorter path, or a shorter name.";

/** Directories in which there may be one, the best first. A service and a terminal of one user may differ in them. */
function places(): string[] {
  const { XDG_RUNTIME_DIR } = process.env;
  const parents = XDG_RUNTIME_DIR ? [XDG_RUNTIME_DIR, tmpdir()] : [tmpdir()];
  return [...new Set(parents)].map((parent) => join(wholePath(parent), directoryName()));
}

function directoryName(): string {
  return `holdfast-${process.getuid?.() ?? 0}`;
}

/**
 * The directory for a new socket; it is made if need be.
 * @param files names of sockets that must have room in it
 * @throws {HoldfastError} `HOLDFAST_ERR_CONTROL_SOCKET`
 */
export function controlDirectory(files: readonly string[]): string {
  const faults: string[] = [];
  for (const place of places()) {
    const [tooLong] = files.flatMap((file) => whyTooLong(join(place, file)) ?? []);
    const fault = tooLong === undefined ? makeOrInspect(place) : `${tooLong} ${SHORTER}`;
    if (fault === undefined) return place;
    faults.push(fault);
  }
  throw new HoldfastError(
    "HOLDFAST_ERR_CONTROL_SOCKET",
    `There is no place for a control socket. ${faults.join(" ")}`,
  );
}

/** How the socket of that name is called. */
export function socketFile(name: string): string {
  return name + ENDING;
}

export interface ControlSockets {
  /** Some may be left over. */
  readonly paths: readonly string[];
  /** Directories that this user has closed to themselves, as sentences: any cluster may be there. */
  readonly unreadable: readonly string[];
}

/** The sockets of this user's clusters, or of those of that name. Never throws. */
export function controlSockets(name?: string): ControlSockets {
  const paths: string[] = [];
  const unreadable: string[] = [];
  for (const place of places()) {
    if (inspect(place) !== undefined) continue;
    try {
      const names = readdirSync(place).flatMap((file) => socketName(file) ?? []);
      const meant = names.filter((each) => name === undefined || each === name);
      paths.push(...meant.map((each) => join(place, socketFile(each))));
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes(codeOf(error))) continue;
      unreadable.push(
        `The control sockets in ${place} cannot be listed (${codeOf(error)}). Run chmod 700 ${place}.`,
      );
    }
  }
  return { paths, unreadable };
}

/** The name of the cluster whose socket is called like that; `undefined` if none can be. */
export function socketName(path: string): string | undefined {
  const file = basename(path);
  const name = file.slice(0, -ENDING.length);
  return file.endsWith(ENDING) && NAME.test(name) ? name : undefined;
}

function makeOrInspect(directory: string): string | undefined {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") return `${directory} cannot be made (${codeOf(error)}).`;
  }
  return inspect(directory);
}

/** What is wrong with it, as a sentence; `undefined` if it is a directory that only this user can use. */
function inspect(directory: string): string | undefined {
  let stats: Stats;
  try {
    stats = lstatSync(directory);
  } catch (error) {
    // What has its place may be a file, or closed to this user.
    const code = codeOf(error);
    if (["ENOENT", "ENOTDIR"].includes(code)) return `There is no ${directory}.`;
    return `${directory} cannot be looked at (${code}).`;
  }
  if (!stats.isDirectory()) return `${directory} is no directory: remove it.`;
  if (stats.uid !== process.getuid?.()) return `${directory} belongs to another user.`;
  if ((stats.mode & 0o077) !== 0) return `Others can use ${directory}: remove it, or run chmod 700.`;
  return undefined;
}
