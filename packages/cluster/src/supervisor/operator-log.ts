/**
 * What the operator reads: a line for each thing that somebody should know of.
 * Owns: nothing. Runs in: primary.
 */
import type { EventEmitter } from "node:events";
import type { ClusterEvents, WorkerExit } from "../status.js";

export function logEvents(events: EventEmitter<ClusterEvents>, log: (line: string) => void): void {
  events.on("worker:exit", (exit) => {
    const line = describeExit(exit);
    if (line !== undefined) log(line);
  });
  events.on("worker:abandoned", ({ slot }) => {
    log(`slot ${slot} is given up: its worker has crashed too often. A reload tries it again.`);
  });
  events.on("reload:done", ({ workers, moved, closed, killed, durationMs }) => {
    const forced = killed === 0 ? "" : `, ${killed} killed`;
    log(
      `reloaded ${workers} workers in ${durationMs} ms: ${moved} sessions moved, ${closed} closed${forced}`,
    );
  });
  events.on("reload:failed", (error) => log(`the reload was given up. ${error.message}`));
  events.on("failed", (error) => log(error.message));
  events.on("warning", (error) => log(`warning: ${error.message}`));
}

/** `undefined` for an end that nobody has to hear of. */
function describeExit({ slot, pid, reason, code, signal, lastWords }: WorkerExit): string | undefined {
  const how = signal ?? `exit code ${code}`;
  switch (reason) {
    case "crash":
      return `worker ${slot} (pid ${pid}) ended: ${how}`;
    case "no-process":
      return `worker ${slot} got no process: ${lastWords}`;
    case "not-ready":
      return `worker ${slot} (pid ${pid}) was not ready in time and was killed. Does it call joinCluster(io), with the sticky.name of startCluster()?`;
    case "hang":
      return `worker ${slot} (pid ${pid}) hung and was killed: its event loop stood still for too long`;
    case "overdue":
      return `worker ${slot} (pid ${pid}) did not end in time and was killed`;
    case "left":
    case "retired":
      return undefined;
  }
}
