/**
 * The text that Prometheus reads.
 * Owns: nothing; pure. Runs in: primary.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import { METRICS, type Readings } from "./list.js";
import { type Line, linesOf } from "./series.js";

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** All metrics that there are figures for. */
export function expose(readings: Readings): string {
  const blocks = METRICS.flatMap((metric) => {
    const lines = linesOf(metric, readings);
    if (lines.length === 0) return [];
    const { name, help, type } = metric;
    return [`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.map(print).join("")}`];
  });
  return blocks.join("\n");
}

function print({ metricName, labels, value }: Line): string {
  const pairs = Object.entries(labels).map(([name, text]) => `${name}="${quoted(text)}"`);
  return `${metricName}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}\n`;
}

function quoted(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
