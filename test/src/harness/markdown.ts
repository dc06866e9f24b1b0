/** Reads the pages of the repository: their text, tables and links. Runs in: tests. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** @param path from the root of the repository */
export function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** Every page, as a path from the root. */
export function pages(folder = ROOT): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return /^(node_modules|dist|\.git)$/.test(entry.name) ? [] : pages(path);
    return entry.name.endsWith(".md") ? [relative(ROOT, path)] : [];
  });
}

/** A page without its blocks of code, in which nothing is a table, a heading or a link. */
export function withoutCode(page: string): string {
  return page.replace(/^```.*?^```/gms, "");
}

/** The cells of a table's row, cut as GitHub cuts them: at every `|` that is not escaped, within code too. */
export function cellsOf(row: string): string[] {
  return row
    .trim()
    .replace(/^\||(?<!\\)\|$/g, "")
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}

/** What is wrong with the tables of a page, row by row. */
export function tableFaults(page: string): string[] {
  const tables = withoutCode(page).match(/(?:^ *\|.*\n?)+/gm) ?? [];
  return tables.flatMap((table) => {
    const rows = table.trimEnd().split("\n");
    const columns = cellsOf(rows[0] ?? "").length;
    return rows.flatMap((row) => {
      const cells = cellsOf(row);
      if (cells.length !== columns) return [`${cells.length} cells under a header of ${columns}: ${row}`];
      // A border within code leaves half of it on either side.
      const isCut = cells.some((cell) => (cell.match(/`+/g) ?? []).length % 2 === 1);
      return isCut ? [`a border cuts code in two: ${row}`] : [];
    });
  });
}

/** The names by which a page's headings are linked to, as GitHub makes them. */
export function anchorsOf(page: string): string[] {
  const seen = new Map<string, number>();
  return (withoutCode(page).match(/^#+ .*/gm) ?? []).map((heading) => {
    const text = heading.replace(/^#+ /, "").replace(/\[([^\]]*)\]\([^)]*\)/g, "$1");
    const anchor = text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-");
    const earlier = seen.get(anchor) ?? 0;
    seen.set(anchor, earlier + 1);
    return earlier === 0 ? anchor : `${anchor}-${earlier}`;
  });
}

/** Where the links of a page lead. */
export function linksOf(page: string): { path: string; anchor: string }[] {
  const links = withoutCode(page).matchAll(/\]\(([^)\s]+)[^)]*\)/g);
  return [...links]
    .map(([, target = ""]) => target)
    .filter((target) => !/^\w+:/.test(target))
    .map((target) => {
      const [path = "", anchor = ""] = target.split("#");
      return { path, anchor };
    });
}
