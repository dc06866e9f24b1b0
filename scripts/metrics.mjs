/**
 * Writes the list of figures into docs/metrics.md, and the Grafana dashboard that shows them. The packages must be
 * compiled. Usage: node scripts/metrics.mjs
 */
import { readFileSync, writeFileSync } from "node:fs";
import { METRICS } from "../packages/cluster/dist/metrics/list.js";

const page = new URL("../docs/metrics.md", import.meta.url);
const CHAPTERS = [
  ["Connections and sessions: the router", (metric) => metric.source === "router"],
  ["Messages and recovery: the hub", (metric) => metric.source === "hub" && !isOfHubsProcess(metric)],
  ["Workers: with `startCluster()`", (metric) => metric.source === "cluster"],
  ["The primary's process", (metric) => metric.source === "primary"],
  ["The hub's process: with `adapter`", isOfHubsProcess],
];
const WIDTH = 118;

const chapters = CHAPTERS.map(([title, isIn]) => {
  const items = METRICS.filter(isIn).map(({ name, type, labels, help }) =>
    wrap(
      `- \`${name}\`, ${type}${labels.length === 0 ? "" : ` by ${labels.map((each) => `\`${each}\``).join(", ")}`}: ${help}`,
    ),
  );
  return `### ${title}\n\n${items.join("\n")}`;
});
const text = readFileSync(page, "utf8");
writeFileSync(
  page,
  text.replace(/(?<=<!-- figures -->\n)[\s\S]*?(?=<!-- end -->)/, `\n${chapters.join("\n\n")}\n\n`),
);

/** The primary has the same of its own. */
function isOfHubsProcess({ name }) {
  const twin = name.replace("holdfast_hub_", "holdfast_primary_");
  return twin !== name && METRICS.some((metric) => metric.name === twin);
}

function wrap(item) {
  const lines = [];
  let line = "";
  for (const word of item.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = ` `;
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join("\n");
}

const panels = [];
// Grafana puts the chosen one in.
const DATASOURCE = ["$", "{datasource}"].join("");
const WIDE = 12;
const HIGH = 8;

function row(title) {
  panels.push({ type: "row", title, collapsed: false, gridPos: { h: 1, w: 24, x: 0, y: y() }, panels: [] });
}

/** Where the next line of panels begins. */
function y() {
  return Math.max(0, ...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
}

function graph(title, unit, ...targets) {
  const last = panels.at(-1);
  const isLeft = last?.type === "row" || last?.gridPos.x > 0;
  panels.push({
    type: "timeseries",
    title,
    datasource: { type: "prometheus", uid: DATASOURCE },
    gridPos: { h: HIGH, w: WIDE, x: isLeft ? 0 : WIDE, y: isLeft ? y() : last.gridPos.y },
    fieldConfig: {
      defaults: { unit, min: 0, custom: { lineWidth: 1, fillOpacity: 10, showPoints: "never" } },
      overrides: [],
    },
    options: {
      legend: { displayMode: "list", placement: "bottom" },
      tooltip: { mode: "multi", sort: "desc" },
    },
    targets: targets.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(65 + index),
      expr,
      legendFormat,
    })),
  });
}

const of = (name) => `${name}{job=~"$job"}`;
const rate = (name) => `rate(${of(name)}[$__rate_interval])`;

row("Clients");
graph("Sessions by transport", "short", [`sum by (transport) (${of("holdfast_sessions")})`, "{{transport}}"]);
graph("Sessions by worker", "short", [`sum by (slot) (${of("holdfast_sessions")})`, "worker {{slot}}"]);
graph(
  "Sessions opened, and ended by reason",
  "short",
  [`sum(${rate("holdfast_sessions_opened_total")})`, "opened"],
  [`sum by (reason) (${rate("holdfast_sessions_ended_total")})`, "{{reason}}"],
);
graph(
  "Hand-over of connections",
  "s",
  ...[0.5, 0.99].map((quantile) => [
    `histogram_quantile(${quantile}, sum by (le) (${rate("holdfast_connection_handover_seconds_bucket")}))`,
    `p${quantile * 100}`,
  ]),
);
graph("Connections refused by reason", "short", [
  `sum by (reason) (${rate("holdfast_connections_refused_total")})`,
  "{{reason}}",
]);
graph(
  "Requests at another worker than their session's",
  "reqps",
  [`sum(${rate("holdfast_requests_relayed_total")})`, "relayed"],
  [`sum(${rate("holdfast_connections_moved_total")})`, "moved"],
);
row("Messages");
graph(
  "Frames of the hub",
  "short",
  [rate("holdfast_hub_received_frames_total"), "received"],
  [rate("holdfast_hub_sent_frames_total"), "sent"],
);
graph(
  "Bytes of the hub",
  "Bps",
  [rate("holdfast_hub_received_bytes_total"), "received"],
  [rate("holdfast_hub_sent_bytes_total"), "sent"],
);
graph("Packets delivered to workers", "short", [rate("holdfast_hub_delivered_packets_total"), "delivered"]);
graph("Requests between workers that failed", "short", [
  `sum by (code) (${rate("holdfast_worker_requests_failed_total")}) > 0`,
  "{{code}}",
]);
graph("Bytes that wait for workers", "bytes", [of("holdfast_hub_backlog_bytes"), "waiting"]);
graph(
  "What should not happen",
  "short",
  [rate("holdfast_hub_stalls_total"), "workers cut off"],
  [rate("holdfast_hub_dropped_packets_total"), "volatile packets dropped"],
  [rate("holdfast_hub_late_joins_total"), "joins heard of too late"],
);
row("Recovery");
graph(
  "Clients that came back",
  "short",
  [rate("holdfast_recovery_asked_total"), "asked"],
  [rate("holdfast_recovery_restored_total"), "restored"],
  [`sum by (reason) (${rate("holdfast_recovery_declined_total")})`, "declined: {{reason}}"],
);
graph("Journal", "bytes", [of("holdfast_recovery_journal_bytes"), "memory"]);
graph("Clients that are away", "short", [of("holdfast_recovery_suspended_sessions"), "away"]);
graph("Packets dropped from the journal before their time", "short", [
  rate("holdfast_recovery_journal_cut_packets_total"),
  "cut",
]);
row("Other hosts");
graph(
  "Way to the backplane",
  "s",
  [of("holdfast_backplane_round_trip_seconds"), "round trip"],
  [of("holdfast_backplane_inbox_lag_seconds"), "inbox lag"],
);
graph(
  "Bytes that wait",
  "bytes",
  [of("holdfast_backplane_backlog_bytes"), "for other hosts"],
  [of("holdfast_backplane_inbox_bytes"), "of other hosts"],
);
row("Reloads");
graph(
  "Sessions that were to move",
  "short",
  [`sum by (result) (${rate("holdfast_session_moves_total")})`, "{{result}}"],
  [rate("holdfast_session_moves_waited_total"), "waited"],
);
graph(
  "How long sessions were on their way",
  "s",
  ...[0.5, 0.99].map((quantile) => [
    `histogram_quantile(${quantile}, sum by (le) (${rate("holdfast_session_move_seconds_bucket")}))`,
    `p${quantile * 100}`,
  ]),
);
row("Processes");
graph("Workers by state", "short", [`sum by (state) (${of("holdfast_workers")})`, "{{state}}"]);
graph("Restarts after a crash", "short", [
  `increase(${of("holdfast_worker_restarts_total")}[$__rate_interval])`,
  "worker {{slot}}",
]);
const processes = (title, unit, name) =>
  graph(
    title,
    unit,
    [of(`holdfast_worker_${name}`), "worker {{slot}}"],
    [of(`holdfast_primary_${name}`), "primary"],
    [of(`holdfast_hub_${name}`), "hub"],
  );
processes("Event loop delay, p99", "s", "event_loop_delay_p99_seconds");
processes("Event loop, share of time busy", "percentunit", "event_loop_utilization_ratio");
processes("Resident memory", "bytes", "resident_memory_bytes");
processes("Heap", "bytes", "heap_bytes");

const dashboard = {
  title: "Holdfast",
  uid: "holdfast",
  tags: ["holdfast", "socket.io"],
  schemaVersion: 39,
  editable: true,
  refresh: "10s",
  time: { from: "now-1h", to: "now" },
  templating: {
    list: [
      { name: "datasource", type: "datasource", query: "prometheus", label: "Data source" },
      {
        name: "job",
        type: "query",
        label: "Job",
        datasource: { type: "prometheus", uid: DATASOURCE },
        query: "label_values(holdfast_connections_accepted_total, job)",
        refresh: 2,
        includeAll: true,
        multi: true,
        current: { text: "All", value: "$__all" },
      },
    ],
  },
  panels: panels.map((panel, index) => ({ id: index + 1, ...panel })),
};
writeFileSync(
  new URL("../docs/grafana/holdfast.json", import.meta.url),
  `${JSON.stringify(dashboard, null, 2)}\n`,
);
