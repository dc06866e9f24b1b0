/** Words for a directory that cannot be watched. Runs in: the command line. */
import { codeOf, messageOf } from "../errors.js";
import { printable } from "./printable.js";

/** What can be done, by the system's code. */
const CURES: Readonly<Record<string, string>> = {
  ENOSPC:
    "The system watches no more directories for this user: raise fs.inotify.max_user_watches, or name fewer with " +
    "--watch-path.",
  EMFILE:
    "This user or process has too much open: raise fs.inotify.max_user_instances or the limit of open files " +
    "(ulimit -n), or end other programs that watch files.",
  EACCES: "This user may not read it: change its mode or owner, or name other directories with --watch-path.",
};
const ANY = "Name other directories with --watch-path.";

export function describeWatchFailure(directory: string, error: unknown): string {
  const cure = CURES[codeOf(error)] ?? ANY;
  const what = printable(`${directory} are not seen (${messageOf(error)})`);
  return `Changes in ${what}, and maybe not in others. ${cure}`;
}
