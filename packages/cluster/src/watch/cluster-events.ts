/**
 * Writes what happens into the timeline.
 * Owns: its listeners, until the function that it returns is called. Runs in: primary.
 */
import diagnostics from "node:diagnostics_channel";
import type { EventEmitter } from "node:events";
import type { Primary as Hub } from "@holdfast/adapter";
import type { StickyDiagnostics } from "@holdfast/sticky";
import type { ClusterEvents, WorkerExit } from "../status.js";
import { gistOf } from "./last-words.js";
import type { Happening, Timeline } from "./timeline.js";

export interface Watched {
  readonly events: EventEmitter<ClusterEvents>;
  readonly hub: Hub;
  /** The place of a worker in the cluster. */
  slotOf(workerId: number): number | undefined;
  /** A worker takes nothing, or takes connections again. */
  onStalled(workerId: number, isStalled: boolean): void;
}

/** @returns the function that ends it */
export function tellEvents(timeline: Timeline, { events, hub, slotOf, onStalled }: Watched): () => void {
  const tell = (happening: Happening) => timeline.add(happening);
  let isReloading = false;
  const listeners: Partial<{ [Name in keyof ClusterEvents]: (...args: ClusterEvents[Name]) => void }> = {
    "worker:ready": ({ slot }) => {
      if (!isReloading) tell({ kind: "worker", health: "good", text: `Worker ${slot} is ready.` });
    },
    "worker:exit": (exit) => {
      const happening = describeExit(exit);
      if (happening) tell(happening);
    },
    "worker:abandoned": ({ slot }) =>
      tell({
        kind: "worker",
        health: "bad",
        text: `Worker ${slot} has crashed too often, and is not started again until a reload.`,
      }),
    "reload:progress": ({ workers }) => {
      if (isReloading) return;
      isReloading = true;
      tell({
        kind: "reload",
        health: "good",
        text: workers === 1 ? "A worker is replaced." : `A reload of ${workers} workers has begun.`,
      });
    },
    "reload:done": ({ workers, moved, closed, killed, durationMs }) => {
      isReloading = false;
      const what = workers === 1 ? "1 worker was replaced" : `${workers} workers were replaced`;
      const clients = `${moved} sessions moved, ${closed} connections were closed to come back`;
      tell({
        kind: "reload",
        health: killed > 0 ? "warning" : "good",
        text:
          `${what} in ${span(durationMs)}: ${clients}.` +
          (killed > 0 ? ` ${killed} did not end in time and were killed.` : ""),
      });
    },
    "reload:failed": ({ message }) => {
      isReloading = false;
      tell({
        kind: "reload",
        health: "bad",
        text: "The reload was given up; what ran goes on.",
        detail: message,
      });
    },
    failed: ({ message }) =>
      tell({ kind: "cluster", health: "bad", text: "The cluster has failed.", detail: message }),
    stopping: () => tell({ kind: "cluster", health: "warning", text: "The cluster is stopping." }),
    warning: ({ message }) =>
      tell({ kind: "warning", health: "warning", text: message.split("\n", 1)[0] ?? "", detail: message }),
  };
  const named = Object.entries(listeners) as [keyof ClusterEvents, (...args: unknown[]) => void][];
  for (const [name, listener] of named) events.on(name, listener);

  const name = (workerId: number) => `Worker ${slotOf(workerId) ?? `with id ${workerId}`}`;
  const onCutOff = ({ workerId }: { workerId: number }, backlogBytes: number) =>
    tell({
      kind: "stall",
      health: "bad",
      text: `${name(workerId)} was cut off from the hub: it took nothing while ${megabytes(backlogBytes)} waited for it.`,
    });
  const onJournalFull = () =>
    tell({
      kind: "recovery",
      health: "warning",
      text: "The journal is full: some clients that are away will not be recovered. Raise journalBytes.",
    });
  hub.on("stalled", onCutOff).on("journalFull", onJournalFull);

  // Channels carry messages of the types that their package declares.
  const onStall = (message: unknown) => {
    const { workerId, returned } = message as StickyDiagnostics["holdfast:sticky:stalled"];
    onStalled(workerId, true);
    const others = returned === 0 ? "" : ` ${returned} that waited for it went to others.`;
    tell({ kind: "stall", health: "bad", text: `${name(workerId)} takes no connections.${others}` });
  };
  const onResumed = (message: unknown) => {
    const { workerId } = message as StickyDiagnostics["holdfast:sticky:resumed"];
    onStalled(workerId, false);
    tell({ kind: "stall", health: "good", text: `${name(workerId)} takes connections again.` });
  };
  diagnostics.subscribe("holdfast:sticky:stalled", onStall);
  diagnostics.subscribe("holdfast:sticky:resumed", onResumed);

  return () => {
    for (const [each, listener] of named) events.off(each, listener);
    hub.off("stalled", onCutOff).off("journalFull", onJournalFull);
    diagnostics.unsubscribe("holdfast:sticky:stalled", onStall);
    diagnostics.unsubscribe("holdfast:sticky:resumed", onResumed);
  };
}

/** What is said of a worker's end; nothing of one that was asked for and went as it should. */
export function describeExit(exit: WorkerExit): Happening | undefined {
  const { slot, reason, code, signal, lastWords, uptimeMs } = exit;
  const name = `Worker ${slot}`;
  const tell = (health: Happening["health"], text: string): Happening => ({
    kind: "worker",
    health,
    text: `${name} ${text}`,
    detail: lastWords,
    key: `${slot} ${reason} ${code} ${signal}`,
  });
  const gist = gistOf(lastWords).replace(/\.$/, "");
  const why = gist && `: ${gist}`;
  const after = uptimeMs > 0 ? ` after ${span(uptimeMs)}` : " before it was ready";
  switch (reason) {
    case "crash":
      return tell(
        "bad",
        signal
          ? `was killed by ${signal}${after}${why}.`
          : `has crashed with exit code ${code}${after}${why}.`,
      );
    case "no-process":
      return tell("bad", `got no process${why}.`);
    case "not-ready":
      return tell("bad", "was not ready in time, and was killed.");
    case "hang":
      return tell("bad", "stood still for too long, and was killed.");
    case "left":
      return tell("good", "has left, as it was asked to.");
    case "overdue":
      return tell("warning", "did not end in time, and was killed.");
    case "retired":
      return undefined;
  }
}

function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${Math.round(bytes / 1e6)} MB`;
}

/** 0.4 s, 12 s, 4 min, 3 h, 2 d */
function span(ms: number): string {
  const seconds = ms / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3_600) return `${Math.round(seconds / 60)} min`;
  return seconds < 86_400 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`;
}
