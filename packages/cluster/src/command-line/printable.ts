/**
 * What a cluster says, as a terminal may have it: its workers have written some of it, and clients made them write it.
 * Owns: nothing; pure. Runs in: the command line.
 */
import { stripVTControlCharacters } from "node:util";

/** One line. What a terminal would take for a command is not printed. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(/[\p{Cc}\p{Cf}]/gu, " ");
}

/** Several lines. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}
