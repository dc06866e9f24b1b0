/** A cluster and its workers as a table. Runs in: the command line. */
import type { ListenAddress } from "../address.js";
import type { ClusterStatus, SlotStatus, WorkerExit } from "../status.js";
import { printableLines } from "./printable.js";

const HEAD = ["SLOT", "PID", "STATE", "UPTIME", "CONNECTIONS", "MEMORY", "LOAD", "RESTARTS"];

export function statusTable(status: ClusterStatus): string {
  const { name, pid, state, worker, uptimeMs, reloads, slots } = status;
  const place = status.address === undefined ? "does not listen yet" : placeOf(status.address);
  const head = `${name} (pid ${pid}), ${state} for ${duration(uptimeMs)}, ${reloads} reloads, ${place}\n${worker}`;
  return printableLines([head, "", ...columns([HEAD, ...slots.map(row)]), ...lastExits(slots)].join("\n"));
}

/** Where it listens, as a browser on this machine would write it. */
export function placeOf(address: ListenAddress): string {
  if (typeof address === "string") return address;
  const { address: host, port } = address;
  if (["::", "0.0.0.0"].includes(host)) return `http://localhost:${port}`;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function row({ slot, pid, state, uptimeMs, connections, memoryBytes, load, restarts }: SlotStatus): string[] {
  return [
    String(slot),
    pid === undefined ? "-" : String(pid),
    state,
    duration(uptimeMs),
    String(connections),
    memoryBytes === 0 ? "-" : `${Math.round(memoryBytes / 2 ** 20)} MiB`,
    `${Math.round(load * 100)} %`,
    String(restarts),
  ];
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  return rows.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function lastExits(slots: readonly SlotStatus[]): string[] {
  const lines = slots.flatMap(({ lastExit }) => (lastExit ? [describe(lastExit)] : []));
  return lines.length === 0 ? [] : ["", ...lines];
}

function describe({ slot, pid, reason, code, signal, lastWords }: WorkerExit): string {
  if (reason === "no-process") return `slot ${slot} got no process last: ${lastWords}`;
  const line = `slot ${slot}: pid ${pid} ended last, ${reason}, ${signal ?? `exit code ${code}`}`;
  const words = lastWords.split("\n").slice(-5);
  return lastWords === ""
    ? line
    : [`${line}; its last words:`, ...words.map((each) => `  ${each}`)].join("\n");
}

/** 65 s → "1 min" */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}
