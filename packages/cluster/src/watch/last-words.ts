/** What a process wrote at its end, in one line. Owns: nothing; pure. Runs in: primary. */

const MAX_LENGTH = 160;
/** `Error: …`, `TypeError [CODE]: …`, `FATAL ERROR: …` */
const NAMES_ERROR = /^(?:Uncaught )?(?:[\w.]*(?:Error|Exception)\b|FATAL ERROR)/;
/** Where it happened, and who says so. */
const IS_ASIDE = /^(?:\s|at |Node\.js v|\^|$)/;

/** The line that says what was wrong: that of the last error, else the last one; `""` if there is none. */
export function gistOf(lastWords: string): string {
  const lines = lastWords.split("\n").map((line) => line.trimEnd());
  const line =
    lines.findLast((each) => NAMES_ERROR.test(each)) ?? lines.findLast((each) => !IS_ASIDE.test(each));
  if (line === undefined) return "";
  return line.length > MAX_LENGTH ? `${line.slice(0, MAX_LENGTH - 3)}...` : line;
}
