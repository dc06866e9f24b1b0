/** Exit codes of a cluster that looks after its process, and of the command line. Runs in: primary, and the command line. */
export const EXIT = {
  /** It has done what it was asked for; a cluster has stopped. */
  done: 0,
  /** It could not: a port in use, a reload that was given up, no worker left. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The cluster has stopped, but workers did not end in time, or a second signal hurried, and some were killed. */
  forced: 3,
  /** There is no such cluster. */
  notRunning: 4,
} as const;
