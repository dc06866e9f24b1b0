/** What `--help` says. Runs in: the command line. */

export const USAGE = `Usage: holdfast <command> [options]

  run <file>      run a cluster whose workers run the file
  reload          replace the workers, one after another
  status          show what the cluster is doing
  top             watch it
  scale <number>  change the number of workers
  rebalance       spread live sessions evenly over the workers
  stop            let the workers finish, and stop

  -h, --help      show this text, or that of a command
  -v, --version   show the version

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 stopped by force, 4 no such cluster.`;

const WHICH = `  -n, --name <name>        which cluster, if several run
      --control <path>     its control socket, if that is not at its usual place
  -h, --help               show this text`;

export const COMMAND_USAGE: Readonly<Record<string, string>> = {
  run: `Usage: holdfast run <file> [options] [-- <arguments of the workers>]

Runs a cluster whose workers run the file, which calls joinCluster(io) of @holdfast/cluster.
SIGTERM and SIGINT stop it, SIGHUP reloads it.

  -p, --port <number>      port to listen on (or PORT; default 3000; 0 picks a free one)
      --host <address>     address to listen on (default: all)
      --path <path>        Unix socket to listen on, in place of a port
  -w, --workers <number>   worker processes (default: one for each core)
  -n, --name <name>        what the cluster is called (default: as the working directory)
      --balance <method>   least-connection, round-robin, random or hash (default: least-connection)
      --watch              reload when a file changes; for development
      --watch-path <path>  directory to watch, can be repeated (default: that of the file)
      --control <path>     path of the control socket; "none" for none
      --ready-timeout, --hang-timeout, --drain-timeout, --stop-timeout <milliseconds>
                           how long workers may take to start, be silent, be replaced, stop
      --max-crashes <number>
                           crashes in a row after which a worker is given up
  -h, --help               show this text`,
  reload: `Usage: holdfast reload [options]

Replaces the workers, one after another: when the successor of one is ready, its live sessions move there. If one does
not become ready, the others stay as they are, and the exit code is 1.

${WHICH}`,
  status: `Usage: holdfast status [options]

Shows each worker of the cluster, or of all clusters of this user.

      --json               as JSON
${WHICH}`,
  top: `Usage: holdfast top [options]

Watches a cluster: how everybody is, who has how many clients, what flows, what happened. Once a second, until q or
Ctrl+C; or once, if its output is no terminal.

  -1, --once               show it once
${WHICH}`,
  scale: `Usage: holdfast scale <number> [options]

Changes the number of workers. Live sessions move to new ones, and away from those that are too many.

${WHICH}`,
  rebalance: `Usage: holdfast rebalance [options]

Moves live sessions until all workers have their share.

${WHICH}`,
  stop: `Usage: holdfast stop [options]

Lets the workers finish what they have begun, and stops the cluster.

  -t, --timeout <milliseconds>
                           how long they may take (default: as the cluster was told)
${WHICH}`,
};
