/**
 * What Holdfast itself makes in directories that may be watched: its output, and places for sockets.
 * Owns: nothing. Runs in: the command line.
 */
import { type BigIntStats, fstatSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { identityIfSeen, identityOf } from "../file-identity.js";

const OUTPUTS = [1, 2];
/** Of the control sockets (`control/directory.ts`), of a router, and of processes without one (`@holdfast/sticky`). */
const PRIVATE_NAME = /^holdfast-(\d+|[A-Za-z0-9]{6}|\d+-[0-9a-f]{16})$/;
const OTHERS_BITS = 0o077n;

/** Tells whether a file is this process' standard output or error, as after `> dev.log`. */
export function ownOutput(): (file: BigIntStats) => boolean {
  const own = new Set(OUTPUTS.map((fd) => identityIfSeen(() => fstatSync(fd, { bigint: true }))));
  return (file) => own.has(identityOf(file));
}

/**
 * Whether it is one of the private directories in which sockets are.
 * @param parent the path of the directory that it is in
 */
export function isPrivateDirectory(parent: Buffer, name: string, file: BigIntStats): boolean {
  if (!PRIVATE_NAME.test(name) || !file.isDirectory() || (file.mode & OTHERS_BITS) !== 0n) return false;
  const places = [tmpdir(), process.env.XDG_RUNTIME_DIR ?? "", "/tmp", "/var/tmp"];
  // By another way, the same directory has another path.
  const here = identityIfSeen(() => statSync(parent, { bigint: true }));
  return places.some((place) => identityIfSeen(() => statSync(place, { bigint: true })) === here);
}
