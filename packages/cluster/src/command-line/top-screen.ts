/** A cluster at one moment, in 80 columns of plain text. Owns: nothing; pure. Runs in: the command line. */
import type { Health, LiveStatus, LiveWorker, TimelineEvent } from "../live-status.js";
import { printable } from "./printable.js";

export const WIDTH = 80;
/** Something is wrong, or about to be. */
const MARKS: Readonly<Record<Health, string>> = { good: " ", warning: "!", bad: "X", unknown: "?" };
const NONE = "-";
/** Other hosts that are told of. */
const MAX_HOSTS = 4;

interface Column {
  readonly head: string;
  readonly width: number;
  /** Figures stand on the right. */
  readonly isFigure: boolean;
  read(worker: LiveWorker): string;
}

const COLUMNS: readonly Column[] = [
  { head: "", width: 1, isFigure: false, read: ({ health }) => MARKS[health] },
  {
    head: "WORKER",
    width: 6,
    isFigure: false,
    read: ({ slot }) => `${slot}`,
  },
  { head: "STATE", width: 8, isFigure: false, read: ({ state }) => state },
  { head: "CLIENTS", width: 7, isFigure: true, read: ({ clients }) => count(clients) },
  { head: "POLLING", width: 7, isFigure: true, read: ({ transports }) => count(transports.polling) },
  {
    head: "MSG/S",
    width: 6,
    isFigure: true,
    read: (worker) => count(worker.inPerSecond + worker.outPerSecond),
  },
  { head: "LATE p99", width: 8, isFigure: true, read: ({ loopP99Ms }) => milliseconds(loopP99Ms) },
  { head: "BUSY", width: 5, isFigure: true, read: ({ utilization }) => share(utilization) },
  { head: "MEMORY", width: 7, isFigure: true, read: ({ rssBytes }) => bytes(rssBytes) },
  {
    head: "WAITS",
    width: 7,
    isFigure: true,
    read: ({ backlogBytes }) => (backlogBytes === 0 ? NONE : bytes(backlogBytes)),
  },
];

/** @param rows how many lines there are; what does not fit is left out, what is well first */
export function topScreen(status: LiveStatus, rows: number): string[] {
  const { name, summary, health, totals, hosts, at, startedAt } = status;
  const sentence = `${MARKS[health]} ${summary}`.trim();
  const isShort = name.length + sentence.length + clock(at).length + 4 <= WIDTH;
  const head = [
    ends(isShort ? `${name}: ${sentence}` : `${name}: ${MARKS[health]}`, clock(at)),
    ...(isShort ? [] : wrap(summary)),
    ends(
      `${totals.workersReady} of ${totals.workers} workers ready, ${count(totals.clients)} clients, ` +
        `${count(totals.deliveriesPerSecond)} messages/s`,
      `up ${duration(at - startedAt)}`,
    ),
  ];
  if (status.since !== null) head.push(...wrap(`Since ${clock(status.since)}. ${status.advice ?? ""}`));
  if (status.reload) {
    const { summary: step, workersDone, workersTotal, moved, total } = status.reload;
    head.push(
      cut(step),
      cut(
        `${bar(workersDone, workersTotal)} ${workersDone} of ${workersTotal} workers, ${moved} of ${total} sessions moved`,
      ),
    );
  }
  for (const { kind, summary: told } of status.backplane ? [status.backplane] : [])
    head.push(cut(`${kind}: ${told}`));
  for (const host of hosts.filter(({ isSelf }) => !isSelf).slice(0, MAX_HOSTS))
    head.push(cut(`${MARKS[host.health]} host ${host.name}: ${host.summary}`));
  const all = hosts.flatMap(({ workers }) => workers);
  const events = status.events.slice(0, 6).flatMap((event) => eventLines(event));
  const tail = events.length === 0 ? [] : ["", "What happened", ...events];
  const room = Math.max(3, rows - head.length - tail.length - 3);
  const shown = all.length <= room ? all : all.toSorted((a, b) => rank(b) - rank(a)).slice(0, room - 1);
  const lines = shown.map((worker) => row((column) => column.read(worker)));
  if (shown.length < all.length) lines.push(`  and ${all.length - shown.length} more, none of them worse`);
  return [...head, "", row(({ head: title }) => title), ...lines, ...tail].slice(0, rows);
}

function rank({ health, clients }: LiveWorker): number {
  return ["good", "unknown", "warning", "bad"].indexOf(health) * 1e9 + clients;
}

function row(cell: (column: Column) => string): string {
  const cells = COLUMNS.map((column) => {
    const text = cell(column).slice(0, column.width);
    return column.isFigure ? text.padStart(column.width) : text.padEnd(column.width);
  });
  return cells.join(" ").trimEnd();
}

function eventLines({ at, health, text, times }: TimelineEvent): string[] {
  const prefix = `${clock(at)} ${MARKS[health]} `;
  return [cut(`${prefix}${text}${times > 1 ? ` (${times} times)` : ""}`)];
}

/** One text at the left, one at the right. */
function ends(left: string, right: string): string {
  const room = WIDTH - right.length - 2;
  return `${printable(left).slice(0, room).padEnd(room)}  ${right}`;
}

const cut = (text: string) => printable(text).slice(0, WIDTH);

/** Lines of whole words. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of printable(text).split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > WIDTH) lines.push(word.slice(0, WIDTH));
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines.map((line) => line.trimEnd());
}

function bar(done: number, all: number): string {
  const filled = all === 0 ? 0 : Math.round((done / all) * 20);
  return `[${"#".repeat(filled)}${".".repeat(20 - filled)}]`;
}

function count(value: number): string {
  if (value < 10 && !Number.isInteger(value)) return value.toFixed(1);
  if (value < 10_000) return String(Math.round(value));
  return value < 1e6 ? `${Math.round(value / 1e3)}k` : `${(value / 1e6).toFixed(1)}M`;
}

function milliseconds(value: number | null): string {
  if (value === null) return NONE;
  if (value < 1_000) return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
  return `${(value / 1_000).toFixed(1)} s`;
}

function share(value: number | null): string {
  return value === null ? NONE : `${Math.round(value * 100)} %`;
}

function bytes(value: number | null): string {
  if (value === null) return NONE;
  if (value < 1e6) return `${Math.round(value / 1e3)} kB`;
  return value < 1e9 ? `${Math.round(value / 1e6)} MB` : `${(value / 1e9).toFixed(1)} GB`;
}

function clock(at: number): string {
  return new Date(at).toTimeString().slice(0, 8);
}

function duration(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1_000)} s`;
  if (minutes < 60) return `${minutes} min`;
  return minutes < 2_880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1_440)} d`;
}
