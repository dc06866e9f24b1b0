/** The table of workers, and the sheet of the one that is open. Owns: `#rows`, `#sheet`. */
import { byId, element, keyed, say, set } from "./dom.js";
import { bytes, count, duration, milliseconds, STATES, share, some } from "./words.js";

let opened;
let status;
let onRestart = () => {};

/** @param restart called with a worker that is to be started anew */
export function startWorkers(restart) {
  onRestart = restart;
  const sheet = byId("sheet");
  sheet.addEventListener("close", () => {
    opened = undefined;
  });
  sheet.addEventListener("click", (event) => event.target === sheet && sheet.close());
}

export function drawWorkers(current) {
  status = current;
  const rows = status.hosts.flatMap((host) => host.workers.map((worker) => ({ host, worker })));
  const { workers, workersReady } = status.totals;
  const notes = [
    ...(workersReady === workers ? [] : [`${workersReady} of ${workers} ready`]),
    ...(status.hosts.length > 1 ? ["each host shows its own"] : []),
  ];
  say(byId("workers-note"), notes.join(" · "));
  byId("legend-webtransport").hidden = !rows.some(({ worker }) => worker.transports.webtransport > 0);
  keyed(byId("rows"), rows, ({ host, worker }) => `${host.id} ${worker.slot}`, makeRow, updateRow);
  if (opened) drawSheet();
}

/** Shows one worker. */
export function openWorker(hostId, slot) {
  opened = { hostId, slot };
  const sheet = byId("sheet");
  sheet.replaceChildren();
  sheet.parts = undefined;
  drawSheet();
  if (!sheet.open) sheet.showModal();
}

const cell = (kind) => element("td", { class: kind });

function makeRow({ host, worker }) {
  const name = element("button", {
    type: "button",
    class: "link",
    click: () => openWorker(host.id, worker.slot),
  });
  const state = element(
    "td",
    { class: "state" },
    element("i", { class: "dot", "aria-hidden": true }),
    element("span"),
    element("span", { class: "why" }),
  );
  const parts = {
    name,
    state,
    clients: cell("figure"),
    transports: cell("transports"),
    messages: cell("figure"),
    loop: cell("figure"),
    memory: cell("figure"),
    waiting: cell("figure"),
    up: cell("figure"),
  };
  parts.transports.append(makeMix());
  const row = element("tr", {}, element("th", { scope: "row" }, name), ...Object.values(parts).slice(1));
  row.parts = parts;
  return row;
}

function updateRow({ parts }, { worker }) {
  say(parts.name, `Worker ${worker.slot}`);
  set(parts.state.firstElementChild, { "data-health": worker.health });
  say(parts.state.children[1], STATES[worker.state]);
  say(parts.state.children[2], worker.health === "good" ? "" : worker.summary);
  say(parts.clients, count(worker.clients));
  updateMix(parts.transports.firstElementChild, worker);
  say(parts.messages, count(worker.inPerSecond + worker.outPerSecond));
  say(parts.loop, milliseconds(worker.loopP99Ms));
  say(parts.memory, bytes(worker.rssBytes));
  say(parts.waiting, worker.backlogBytes === 0 ? "–" : bytes(worker.backlogBytes));
  say(parts.up, worker.since === null ? "–" : duration(status.at - worker.since));
}

/** What the transports are called. */
const TRANSPORTS = Object.entries({
  websocket: "WebSocket",
  polling: "polling",
  webtransport: "WebTransport",
});

/** Shares of the transports, as a bar. */
function makeMix() {
  const bars = TRANSPORTS.map(([transport]) => element("i", { "data-of": transport }));
  return element("span", { class: "mix", role: "img" }, ...bars);
}

/** What the colours of the bar are, and how many clients each is. */
function makeLegend() {
  const entries = TRANSPORTS.map(([transport]) =>
    element("span", {}, element("i", { class: "swatch", "data-of": transport }), element("b")),
  );
  return element("p", { class: "legend", "aria-hidden": true }, ...entries);
}

function updateLegend(legend, { transports }) {
  for (const [index, [transport, name]] of TRANSPORTS.entries()) {
    const entry = legend.children[index];
    entry.hidden = transport === "webtransport" && transports.webtransport === 0;
    say(entry.lastElementChild, `${count(transports[transport])} ${name}`);
  }
}

function updateMix(mix, { clients, transports }) {
  for (const bar of mix.children) bar.style.flexGrow = String(transports[bar.dataset.of]);
  set(mix, {
    "aria-label": mixInWords(clients, transports),
    title: mixInWords(clients, transports),
    "data-empty": clients === 0,
  });
}

function mixInWords(clients, transports) {
  if (clients === 0) return "no clients";
  const used = TRANSPORTS.filter(([transport]) => transport !== "webtransport" || transports[transport] > 0);
  return used.map(([transport, name]) => `${count(transports[transport])} ${name}`).join(", ");
}

/** What the sheet says of a worker: name, and value by the worker. */
const FACTS = [
  ["Clients", (worker) => count(worker.clients)],
  ["Connections", (worker) => count(worker.connections)],
  ["From the hub", (worker) => `${count(worker.outPerSecond)}/s`],
  ["To the hub", (worker) => `${count(worker.inPerSecond)}/s`],
  ["Event loop, p50", (worker) => milliseconds(worker.loopP50Ms)],
  ["Event loop, p99", (worker) => milliseconds(worker.loopP99Ms)],
  ["Event loop busy", (worker) => share(worker.utilization)],
  [
    "Heap",
    (worker) =>
      worker.heapBytes === null ? "–" : `${bytes(worker.heapBytes)} of ${bytes(worker.heapLimitBytes)}`,
  ],
  ["Memory", (worker) => bytes(worker.rssBytes)],
  ["Rooms, with one for each client", (worker) => count(worker.rooms)],
  ["Waits in the hub", (worker) => bytes(worker.backlogBytes)],
  ["Requests unanswered", (worker) => count(worker.unanswered)],
  ["Volatile, dropped", (worker) => count(worker.dropped)],
  ["Requests relayed", (worker) => count(worker.relayed)],
  ["Connections moved", (worker) => count(worker.moved)],
  ["Restarts, unasked", (worker) => count(worker.restarts)],
  ["Process", (worker) => (worker.workerId === null ? "–" : `${worker.pid}`)],
];

function drawSheet() {
  const host = status.hosts.find(({ id }) => id === opened.hostId);
  const worker = host?.workers.find(({ slot }) => slot === opened.slot);
  const sheet = byId("sheet");
  if (!worker) return sheet.close();
  sheet.parts ??= makeSheet(sheet);
  const { title, dot, summary, facts, mix, legend, endings, refusals, restart, restartText } = sheet.parts;
  say(title, `Worker ${worker.slot}`);
  set(dot, { "data-health": worker.health });
  const up = worker.since === null ? "" : `Up for ${duration(status.at - worker.since)}.`;
  const state = STATES[worker.state].replace(/^./, (first) => first.toUpperCase());
  say(summary, [`${state}.`, worker.summary, worker.advice ?? "", up].join(" ").trim());
  updateMix(mix, worker);
  updateLegend(legend, worker);
  for (const [name, read] of FACTS) say(facts.get(name), read(worker));
  drawReasons(endings, worker.topEndings);
  drawReasons(refusals, worker.topRefusals);
  const canRestart = host.isSelf && status.actions.includes("restart");
  restart.parentElement.hidden = !canRestart;
  restart.onclick = () => onRestart(worker);
  say(restartText, `Its ${some(worker.clients, "client")} go to a new worker in its place.`);
}

/** How often something has happened here, by reason. */
function drawReasons(list, reasons) {
  list.parentElement.hidden = reasons.length === 0;
  keyed(
    list,
    reasons,
    ({ reason }) => reason,
    ({ reason }) => element("li", {}, element("span", {}, reason), element("b")),
    (entry, { count: times }) => say(entry.lastElementChild, count(times)),
  );
}

function makeReasons(title) {
  const list = element("ol", { class: "reasons" });
  return { list, section: element("section", {}, element("h3", {}, title), list) };
}

function makeSheet(sheet) {
  const title = element("h2", { id: "sheet-title" });
  const dot = element("i", { class: "dot", "aria-hidden": true });
  const close = element(
    "button",
    { type: "button", class: "plain close", "aria-label": "Close", click: () => sheet.close() },
    "×",
  );
  const summary = element("p", { class: "summary" });
  const mix = makeMix();
  const legend = makeLegend();
  const facts = new Map(FACTS.map(([name]) => [name, element("dd")]));
  const list = element("dl", { class: "sheet-facts" });
  for (const [name, value] of facts) list.append(element("div", {}, element("dt", {}, name), value));
  const endings = makeReasons("Why sessions have ended here");
  const refusals = makeReasons("Why requests were refused here");
  const restart = element("button", { type: "button" }, "Restart this worker …");
  const restartText = element("p", { class: "muted small" });
  sheet.append(
    element("header", {}, dot, title, close),
    summary,
    mix,
    legend,
    list,
    endings.section,
    refusals.section,
    element("section", { class: "act" }, restart, restartText),
  );
  return {
    ...{ title, dot, summary, facts, mix, legend, restart, restartText },
    endings: endings.list,
    refusals: refusals.list,
  };
}
