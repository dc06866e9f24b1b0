/**
 * How far a reload is: a bar on a terminal, a line for each step elsewhere.
 * Owns: the line on the terminal that it has drawn. Runs in: the command line.
 */
import type { WriteStream } from "node:tty";
import type { ReloadProgress } from "../reload.js";

const BAR_CHARS = 24;
const CLEAR = "\r\x1b[K";

/** Where it is drawn. */
type Output = Pick<WriteStream, "isTTY" | "columns"> & { write(text: string): unknown };

export class ProgressLine {
  readonly #out: Output;
  #last = "";

  constructor(out: Output = process.stdout) {
    this.#out = out;
  }

  show(progress: ReloadProgress): void {
    const line = this.#out.isTTY ? bar(progress).slice(0, (this.#out.columns ?? 80) - 1) : plain(progress);
    if (line === this.#last) return;
    this.#last = line;
    this.#out.write(this.#out.isTTY ? CLEAR + line : `${line}\n`);
  }

  /** Makes room for what is written next. */
  end(): void {
    if (this.#out.isTTY && this.#last !== "") this.#out.write(CLEAR);
    this.#last = "";
  }
}

function bar({ workersDone, workers, moved, total, step, slot }: ReloadProgress): string {
  const ofWorker = step === "done" ? 0 : (STEP_SHARE[step] ?? 0) + (total > 0 ? (moved / total) * 0.3 : 0);
  const filled = Math.round((BAR_CHARS * Math.min(workers, workersDone + ofWorker)) / Math.max(1, workers));
  const drawn = "█".repeat(filled) + "░".repeat(BAR_CHARS - filled);
  const sessions = total > 0 ? `  sessions moved ${moved}/${total}` : "";
  return `${drawn}  workers ${workersDone}/${workers}${sessions}  slot ${slot}: ${step}`;
}

/** How much of the way a worker has come at the beginning of a step, about. */
const STEP_SHARE: Readonly<Record<string, number>> = { starting: 0, moving: 0.4, draining: 0.7 };

/** Of the same step there is one line, however far the moves are. */
function plain({ workersDone, workers, moved, total, step, slot }: ReloadProgress): string {
  if (step !== "done") return `slot ${slot}: ${step}`;
  const sessions = total > 0 ? `, ${moved} of ${total} sessions moved` : "";
  return `slot ${slot}: done (${workersDone} of ${workers} workers${sessions})`;
}
