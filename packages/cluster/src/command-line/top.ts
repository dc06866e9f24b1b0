/**
 * `holdfast top`: watches a cluster.
 * Owns: the terminal's mode while it runs. Runs in: the command line.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { EXIT } from "../exit-codes.js";
import type { LiveStatus } from "../live-status.js";
import { reading, WHICH } from "./arguments.js";
import type { Command } from "./commands.js";
import { ask, findOne } from "./running-clusters.js";
import { topScreen } from "./top-screen.js";

const EVERY_MS = 1_000;
/** Lines of what is not written to a terminal. */
const MANY = 1_000;
/** To the upper left corner; from there, clear. Each line clears what was behind it, so nothing flickers. */
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";
/** What does not fit into a line is not shown: on a narrow terminal, it would push all else up. */
const CUT_LINES = "\x1b[?7l";
const WRAP_LINES = "\x1b[?7h";
/** Of a terminal that does not say how large it is. */
const USUAL_ROWS = 24;

/** q, Ctrl+C, Ctrl+D. */
const LAST_KEYS = ["q", "\u0003", "\u0004"];

const FLAGS = { ...WHICH, once: { type: "boolean", short: "1" } } as const;

export const top: Command = async (args) => {
  const { values } = reading("top", 0, () =>
    parseArgs({ args: [...args], options: FLAGS, allowPositionals: true }),
  );
  const { path } = await findOne(values);
  const look = async () => (await ask(path, { command: "live" }, () => {})) as LiveStatus;
  const { stdout } = process;
  if (values.once || !stdout.isTTY || process.env.TERM === "dumb") {
    // Rates need two moments.
    await look();
    await sleep(EVERY_MS * 1.2);
    console.log(topScreen(await look(), MANY).join("\n"));
    return EXIT.done;
  }
  const ended = untilKey();
  stdout.write(HOME + CLEAR_BELOW);
  while (!ended.aborted) {
    const lines = topScreen(await look(), Math.max(1, (stdout.rows || USUAL_ROWS) - 1));
    const screen = lines.map((line) => `${line}${CLEAR_LINE}\n`).join("");
    stdout.write(HOME + CUT_LINES + screen + WRAP_LINES + CLEAR_BELOW);
    await sleep(EVERY_MS, undefined, { signal: ended }).catch(() => {});
  }
  return EXIT.done;
};

/** Aborts when somebody presses q or Ctrl+C. */
function untilKey(): AbortSignal {
  const end = new AbortController();
  const { stdin } = process;
  if (!stdin.isTTY) return end.signal;
  stdin.setRawMode(true).setEncoding("utf8").resume();
  stdin.on("data", (keys: string) => {
    if (!LAST_KEYS.some((key) => keys.includes(key))) return;
    stdin.setRawMode(false).pause();
    end.abort();
  });
  return end.signal;
}
