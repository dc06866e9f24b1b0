/** Bar charts as small SVG files, readable on light and dark pages. Pure. */
import { number } from "./table.js";

export interface Bar {
  readonly label: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface BarGroup {
  readonly title: string;
  readonly bars: readonly Bar[];
}

/** Every contestant has its colour in all charts; chosen to stand out on white and on near-black. */
const COLOURS: Record<string, string> = {
  holdfast: "#2f81f7",
  "holdfast-hash": "#1f9aa8",
  "holdfast-no-interest": "#1f9aa8",
  "holdfast-unix": "#5fa8f5",
  peer: "#8b949e",
  "peer-advanced": "#a0785a",
  raw: "#3fa34d",
  "in-memory": "#a371f7",
  native: "#c9922e",
  single: "#a371f7",
  "by-hand": "#a0785a",
  pm2: "#8b949e",
};
const OTHER_COLOUR = "#8b949e";

const WIDTH = 760;
const LABEL_WIDTH = 170;
const VALUE_WIDTH = 90;
const BAR_HEIGHT = 16;
const BAR_GAP = 5;
const GROUP_HEAD = 26;
const GROUP_GAP = 12;
const TOP = 48;
/** Around everything: the chart is a card of its own, whatever the page's colour is. */
const MARGIN = 16;

/** Groups of bars under each other; bars are to scale within their group, whiskers go from min to max. */
export function barChart(title: string, measure: string, groups: readonly BarGroup[]): string {
  const parts: string[] = [];
  let y = TOP;
  for (const group of groups) {
    const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / Math.max(...group.bars.map(({ max }) => max), 1e-9);
    parts.push(text(0, y + 14, "group", group.title));
    y += GROUP_HEAD;
    for (const bar of group.bars) {
      parts.push(...barParts(bar, y, scale));
      y += BAR_HEIGHT + BAR_GAP;
    }
    y += GROUP_GAP;
  }
  const note = `${measure}; median of the runs, line from the least to the most; to scale within a group`;
  const [width, height] = [WIDTH + 2 * MARGIN, y - GROUP_GAP + 2 * MARGIN];
  const box = `viewBox="${-MARGIN} ${-MARGIN} ${width} ${height}" width="${width}" height="${height}"`;
  const edge = 0.5 - MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${box} role="img" aria-label="${escapeXml(title)}">`,
    STYLE,
    `<rect class="card" x="${edge}" y="${edge}" width="${width - 1}" height="${height - 1}" rx="6"/>`,
    text(0, 18, "title", title),
    text(0, 36, "note", note),
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

const STYLE = `<style>
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.note { fill: #59636e }
.group { font-weight: 600 }
.label { text-anchor: end }
.whisker { stroke: #1f2328; stroke-width: 1 }
.card { fill: #ffffff; stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note { fill: #9198a1 }
  .whisker { stroke: #e6edf3 }
  .card { fill: #0d1117; stroke: #3d444d }
}
</style>`;

function barParts({ label, median, min, max }: Bar, y: number, scale: number): string[] {
  const colour = COLOURS[label.replace(/@.*/, "")] ?? OTHER_COLOUR;
  const at = (value: number) => round(LABEL_WIDTH + Math.max(0, value) * scale);
  const middle = y + BAR_HEIGHT / 2;
  const width = round(Math.max(1, at(median) - LABEL_WIDTH));
  return [
    text(LABEL_WIDTH - 8, y + 12, "label", label),
    `<rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2" fill="${colour}"/>`,
    `<line class="whisker" x1="${at(min)}" y1="${middle}" x2="${at(max)}" y2="${middle}"/>`,
    text(at(Math.max(median, max)) + 6, y + 12, "value", number(median)),
  ];
}

function text(x: number, y: number, kind: string, content: string): string {
  return `<text class="${kind}" x="${x}" y="${y}">${escapeXml(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
