/**
 * Where the control sockets of a user's clusters are: a directory that nobody else can use.
 * Owns: nothing that lasts; the directory stays, for the next cluster. Runs in: primary, and the command line.
 */
import { constants, lstatSync, mkdirSync, readdirSync, type Stats, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { closedToSelf } from "../closed-to-self.js";
import { wholePathIfAny } from "../directories.js";
import { codeOf, HoldfastError, messageOf } from "../errors.js";
import { NAME } from "../wire/control-messages.js";
import { whyTooLong } from "./socket-file.js";

const ENDING = ".sock";
/** Codes of a path at which there can be no directory. */
const NOWHERE = ["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"];
const TO_LIST = constants.R_OK | constants.X_OK;
const TO_CHANGE = TO_LIST | constants.W_OK;
const SHORTER = "Set XDG_RUNTIME_DIR or TMPDIR to a shorter path, or a shorter name.";

/** Why a directory is none for control sockets. */
interface Fault {
  /** A sentence. */
  readonly text: string;
  /** Whether clusters of this user may be there all the same. */
  readonly hidesClusters: boolean;
}

/** Directories in which there may be one, the best first. A service and a terminal of one user may differ in them. */
function places(): string[] {
  const { XDG_RUNTIME_DIR } = process.env;
  const parents = XDG_RUNTIME_DIR ? [XDG_RUNTIME_DIR, tmpdir()] : [tmpdir()];
  const found = parents.flatMap((parent) => wholePathIfAny(parent) ?? []);
  const marks = found.map(markOf);
  const different = found.filter((_, index) => marks.indexOf(marks[index] as string) === index);
  return different.map((parent) => join(parent, directoryName()));
}

/** The same for all paths of one directory, so that none counts twice: by a slash more, or through a link. */
function markOf(directory: string): string {
  try {
    const { dev, ino } = statSync(directory, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return resolve(directory);
  }
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
  const candidates = places();
  if (candidates.length === 0)
    faults.push(
      "The temporary folder is a relative path, and the working directory has been removed: set TMPDIR.",
    );
  for (const place of candidates) {
    const [tooLong] = files.flatMap((file) => whyTooLong(join(place, file)) ?? []);
    const fault = tooLong === undefined ? makeOrInspect(place)?.text : `${tooLong} ${SHORTER}`;
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
  /** What is wrong with places of this user that cannot be looked into, as sentences: any cluster may be there. */
  readonly unreadable: readonly string[];
}

/** The sockets of this user's clusters, or of those of that name. Never throws. */
export function controlSockets(name?: string): ControlSockets {
  const paths: string[] = [];
  const unreadable: string[] = [];
  for (const place of places()) {
    const fault = inspect(place, TO_LIST);
    if (fault?.hidesClusters) unreadable.push(fault.text);
    if (fault) continue;
    try {
      const names = readdirSync(place).flatMap((file) => socketName(file) ?? []);
      const meant = names.filter((each) => name === undefined || each === name);
      paths.push(...meant.map((each) => join(place, socketFile(each))));
    } catch (error) {
      if (NOWHERE.includes(codeOf(error))) continue;
      unreadable.push(`The control sockets in ${place} cannot be listed: ${messageOf(error)}.`);
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

function makeOrInspect(directory: string): Fault | undefined {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") {
      const text =
        closedToSelf(dirname(directory), constants.W_OK | constants.X_OK) ??
        `${directory} cannot be made (${codeOf(error)}).`;
      return { text, hidesClusters: false };
    }
  }
  return inspect(directory, TO_CHANGE);
}

/** What is wrong with it; `undefined` if it is a directory that this user can use so, and nobody else at all. */
function inspect(directory: string, access: number): Fault | undefined {
  let stats: Stats;
  try {
    stats = lstatSync(directory);
  } catch (error) {
    return whyHidden(directory, codeOf(error));
  }
  if (!stats.isDirectory()) return { text: `${directory} is no directory: remove it.`, hidesClusters: false };
  if (stats.uid !== process.getuid?.()) {
    return { text: `${directory} belongs to another user.`, hidesClusters: false };
  }
  const text =
    (stats.mode & 0o077) === 0
      ? closedToSelf(directory, access)
      : `Others can use ${directory}: run chmod 700 ${directory}.`;
  return text === undefined ? undefined : { text, hidesClusters: true };
}

/** In a directory that others have closed to this user, as `XDG_RUNTIME_DIR` may be after `su`, there is nothing of theirs. */
function whyHidden(directory: string, code: string): Fault {
  if (NOWHERE.includes(code)) return { text: `There is no ${directory}.`, hidesClusters: false };
  const closed = code === "EACCES" ? closedToSelf(directory, constants.X_OK) : undefined;
  const text = closed ?? `${directory} cannot be looked at (${code}).`;
  return { text, hidesClusters: closed !== undefined || code !== "EACCES" };
}
