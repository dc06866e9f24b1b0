/**
 * A metric as lines: histograms are three kinds of them.
 * Owns: nothing; pure. Runs in: primary, and workers without one of the application.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import type { HistogramSample, Metric, Readings } from "./list.js";

/** One line of a metric. */
export interface Line {
  /** The metric's name, with the ending that histograms have. */
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export function linesOf(metric: Metric, readings: Readings): Line[] {
  if (metric.type === "histogram") {
    return metric.read(readings).flatMap((sample) => histogramLines(metric.name, sample));
  }
  return metric.read(readings).map(({ labels, value }) => ({ metricName: metric.name, labels, value }));
}

/** Buckets hold all that is not longer than their bound. */
function histogramLines(name: string, { labels, bounds, counts, sum }: HistogramSample): Line[] {
  let count = 0;
  const buckets = counts.map((each, index) => {
    count += each;
    const le = index < bounds.length ? String(bounds[index]) : "+Inf";
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
