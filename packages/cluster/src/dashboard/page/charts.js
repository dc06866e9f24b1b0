/** The small charts of the last 15 minutes. Owns: the elements in `#charts`. */
import { byId, element, keyed, say, set, svg } from "./dom.js";
import { clock, count, duration, milliseconds } from "./words.js";

const WIDTH = 300;
const HEIGHT = 56;
/** A chart of less would jump with each value. */
const MIN_POINTS = 13;
/** How long a single value is drawn. */
const DASH = 6;

/**
 * Each chart: its lines, the first one in front; how a value reads; what the second line is called, if its values are
 * told as well; and what it is for those who ask.
 */
const CHARTS = [
  { title: "Clients", lines: ["clients"], read: count, about: "Sessions that are open, on all workers." },
  {
    title: "Messages delivered",
    unit: "/s",
    lines: ["deliveries"],
    read: count,
    about: "Packets of broadcasts that the hub gives to workers, each second.",
  },
  {
    title: "Event loop, p99",
    lines: ["loopP99", "loopP50"],
    read: milliseconds,
    about:
      "How late the slowest worker's event loop is: in the worst hundredth of the time, and in half of it.",
  },
  {
    title: "Away, to be recovered",
    lines: ["suspended"],
    read: count,
    about: "Clients that have lost their connection and can still come back to their session.",
  },
  {
    title: "Refused",
    unit: "/s",
    lines: ["refused"],
    read: count,
    about: "Connections that got no worker, each second.",
    without: "backplane",
  },
  {
    title: "Redis, round trip and lag",
    lines: ["backplaneRoundTrip", "backplaneLag"],
    second: "lag",
    read: milliseconds,
    about:
      "How long the last answer of Redis has taken, which joins the hosts, and how long what other hosts have sent waits to be read.",
    only: "backplane",
  },
];

/** @param status the whole status, with its history */
export function drawCharts(status) {
  const has = status.backplane ? "backplane" : "none";
  const history = sinceStart(status.history);
  const shown = CHARTS.filter(({ only, without }) => (only ?? has) === has && without !== has);
  keyed(
    byId("charts"),
    shown,
    ({ title }) => title,
    makeChart,
    (card, chart) => update(card, chart, history),
  );
}

/** A cluster that has just started has no 15 minutes to show: its charts begin with it, and grow. */
function sinceStart(history) {
  const all = Object.values(history.series);
  const { length } = all[0];
  const starts = all.map((values) => values.findIndex((value) => value !== null)).filter((at) => at >= 0);
  const from = Math.max(0, Math.min(length - MIN_POINTS, ...starts));
  const series = Object.fromEntries(
    Object.entries(history.series).map(([name, values]) => [name, values.slice(from)]),
  );
  return { ...history, series, span: duration((length - from) * history.stepMs) };
}

function makeChart({ title, unit = "", about }) {
  const value = element("strong");
  const beside = element("span", { class: "unit" }, unit);
  const peak = element("span", { class: "peak" });
  const picture = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    "aria-hidden": true,
  });
  const cross = element("i", { class: "cross", hidden: true });
  const plot = element("div", { class: "plot" }, picture, cross);
  const spoken = element("p", { class: "spoken" });
  const card = element(
    "figure",
    { class: "card chart", title: about },
    element("figcaption", {}, title),
    element("p", { class: "value" }, value, beside, peak),
    plot,
    spoken,
  );
  card.parts = { value, beside, peak, picture, spoken, cross };
  plot.addEventListener("pointermove", (event) => {
    const { left, width } = plot.getBoundingClientRect();
    card.at = Math.min(1, Math.max(0, (event.clientX - left) / width));
    card.redraw?.();
  });
  plot.addEventListener("pointerleave", () => {
    card.at = undefined;
    card.redraw?.();
  });
  return card;
}

function update(card, chart, history) {
  const { value, peak, picture, spoken } = card.parts;
  const series = chart.lines.map((name) => history.series[name]);
  const measured = series.flat().filter((each) => each !== null);
  const highest = Math.max(0, ...measured);
  const top = roundUp(highest);
  keyed(
    picture,
    chart.lines
      .flatMap((name, index) => [
        { key: `${name} area`, class: `area line-${index}`, d: area(series[index], top), index },
        { key: `${name} line`, class: `stroke line-${index}`, d: line(series[index], top), index },
      ])
      .filter(({ class: kind, index }) => index === 0 || kind.startsWith("stroke")),
    ({ key }) => key,
    ({ class: kind }) => svg("path", { class: kind }),
    (path, { d }) => set(path, { d }),
  );
  card.redraw = () => readOut(card, chart, history, series);
  card.redraw();
  say(peak, measured.length === 0 ? "" : `max ${chart.read(highest)}`);
  set(peak, { title: `In the last ${history.span}` });
  say(spoken, inWords(chart, series, history.span));
  set(value, { "data-empty": (series[0].at(-1) ?? null) === null });
}

/** Between which values the lines were that are told. */
function inWords({ second, read }, [front, behind], span) {
  const range = (values) => {
    const measured = values.filter((each) => each !== null);
    return `between ${read(Math.min(...measured))} and ${read(Math.max(...measured))}`;
  };
  if (front.every((each) => each === null)) return "Nothing was measured.";
  const more = second && behind.some((each) => each !== null) ? `, ${second} ${range(behind)}` : "";
  return `In the last ${span} ${range(front)}${more}.`;
}

/** The values now, or where the pointer is. */
function readOut(card, { read, second }, { stepMs, endsAt }, series) {
  const { value, beside, cross } = card.parts;
  const { at } = card;
  const last = series[0].length - 1;
  const index = at === undefined ? last : Math.round(at * last);
  cross.hidden = at === undefined;
  set(card, { "data-pointed": at !== undefined });
  cross.style.left = `${(index / last) * 100}%`;
  cross.dataset.when = clock(endsAt - (last - index) * stepMs);
  say(value, read(series[0][index]));
  if (second) say(beside, `${second} ${read(series[1][index])}`);
}

/** The scale ends at a round figure, so that it does not move with each value. */
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 5, 7.5, 10].find((factor) => factor * power >= value) * power;
}

function points(values, top) {
  const step = WIDTH / (values.length - 1);
  return values.map(
    (value, index) => value !== null && [index * step, HEIGHT - 2 - (value / top) * (HEIGHT - 6)],
  );
}

/** Runs of values that were measured. */
function runs(values, top) {
  const found = [];
  let run = [];
  for (const point of [...points(values, top), false]) {
    if (point) run.push(point);
    else if (run.length > 0) {
      found.push(run);
      run = [];
    }
  }
  return found;
}

const path = (run) =>
  run.map(([x, y], index) => `${index === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

function line(values, top) {
  return runs(values, top)
    .map((run) => (run.length === 1 ? `${path(run)}h${-DASH}` : path(run)))
    .join("");
}

function area(values, top) {
  return runs(values, top)
    .map((run) => `${path(run)}V${HEIGHT}H${run[0][0].toFixed(1)}Z`)
    .join("");
}
