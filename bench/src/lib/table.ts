/** Aligned text tables and readable numbers. Pure. */
import type { Spread } from "./stats.js";

/** Three significant digits; thousands with separators. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 1) return value.toFixed(2);
  return value === 0 ? "0" : value.toPrecision(2);
}

/** `median (min–max)`. */
export function range({ median, min, max }: Spread): string {
  if (!Number.isFinite(median)) return number(median);
  return `${number(median)} (${number(min)}–${number(max)})`;
}

/** Rows of cells as lines of text, columns aligned; the first row is the head. */
export function textTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  const [head = [], ...body] = rows;
  return [line(head), widths.map((width) => "─".repeat(width)).join("  "), ...body.map(line)].join("\n");
}

/** A Markdown table, aligned as the formatter wants it; columns after the first hold figures unless `align` says "left". */
export function markdownTable(
  rows: readonly (readonly string[])[],
  align: "left" | "right" = "right",
): string {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const [head = [], ...body] = cells;
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => (row[column] ?? "").length)));
  const isRight = (column: number) => column > 0 && align === "right";
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => (isRight(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, i) => (isRight(i) ? `${"-".repeat(width - 1)}:` : "-".repeat(width)));
  return [line(head), `| ${rule.join(" | ")} |`, ...body.map(line)].join("\n");
}
