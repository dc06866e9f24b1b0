/**
 * The picture: each host with its hub in the middle and its workers around it, sized by their clients, on lines as thick
 * as what flows there. Of another host's workers it is known that they are there, and no more: they are hollow.
 * Owns: the elements in `#hosts`.
 *
 * Seen from the keyboard it is one stop: arrows go from worker to worker.
 */
import { byId, element, keyed, say, set, svg } from "./dom.js";
import { count, HEALTHS, STATES, some } from "./words.js";

/** Above so many workers of a host, figures are left to the table. */
const MAX_FIGURES = 12;
const HUB_RADIUS = 26;
const MAX_RADIUS = 34;
const MIN_RADIUS = 7;
const TOLD_RADIUS = 8;
/** Who is in trouble is seen, with few clients or none. */
const TROUBLE_RADIUS = 15;
/** A host that tells of more is drawn with so many. */
const MAX_TOLD = 64;

let status;
let onOpen = () => {};

/** @param open called with the host's id and the slot of a worker that is opened */
export function startPicture(open) {
  onOpen = open;
  const hosts = byId("hosts");
  hosts.addEventListener("keydown", onKey);
  new ResizeObserver(() => status && drawPicture(status)).observe(hosts);
}

export function drawPicture(current) {
  status = current;
  const { hosts, backplane } = status;
  const list = byId("hosts");
  const workers = hosts.reduce((sum, host) => sum + host.workers.length, 0);
  byId("legend-told").hidden = hosts.length === 1;
  set(list, { "data-hosts": Math.min(hosts.length, 4), "data-moving": workers <= MAX_FIGURES });
  const bar = byId("backplane");
  bar.hidden = backplane === null;
  if (backplane) {
    set(bar, { "data-health": backplane.health });
    say(bar, `${backplane.kind}: ${backplane.summary}`);
  }
  keyed(
    list,
    hosts,
    ({ id }) => id,
    makeHost,
    (figure, host) => updateHost(figure, host, hosts.length),
  );
  keepOneStop(list);
}

/** What is drawn around a hub. */
function around({ isSelf, members, workers }) {
  if (isSelf) return workers;
  return Array.from({ length: Math.min(members, MAX_TOLD) }, (_, slot) => ({ slot, ...TOLD }));
}

const TOLD = { isTold: true, clients: 0, inPerSecond: 0, outPerSecond: 0, state: "ready" };

function makeHost({ id, isSelf }) {
  const name = element("strong");
  const summary = element("span", { class: "muted" });
  const edges = svg("g", { class: "edges" });
  const nodes = svg("g", { class: "nodes" });
  const labels = svg("g", { class: "labels", "aria-hidden": true });
  const hub = svg(
    "g",
    { class: "hub" },
    svg("circle", { r: HUB_RADIUS }),
    svg("text", { class: "hub-name", y: -3 }, "hub"),
    svg("text", { class: "hub-rate", y: 11 }),
  );
  const uplink = svg("line", { class: "uplink" });
  const canvas = svg("svg", { role: "group" }, uplink, edges, hub, nodes, labels);
  const figure = element(
    "figure",
    { class: "host", "data-host": id, "data-self": isSelf },
    element("figcaption", {}, element("i", { class: "dot", "aria-hidden": true }), name, summary),
    canvas,
  );
  figure.parts = {
    name,
    summary,
    edges,
    nodes,
    labels,
    hub,
    canvas,
    uplink,
    dot: figure.querySelector(".dot"),
  };
  return figure;
}

function updateHost(figure, host, hostCount) {
  const { name, summary, edges, nodes, labels, hub, canvas, uplink, dot } = figure.parts;
  say(name, host.name);
  say(summary, hostCount === 1 ? "" : `${host.isSelf ? "this host, " : ""}${host.summary}`);
  set(dot, { "data-health": host.health });
  const width = Math.max(200, canvas.parentElement.clientWidth);
  const layout = placeWorkers(around(host), width, hostCount);
  const { height, center } = layout;
  set(canvas, {
    viewBox: `0 0 ${width} ${height}`,
    height,
    "aria-label": host.isSelf
      ? `${host.name}: a hub and ${some(host.workers.length, "worker")}. Use the arrow keys.`
      : `${host.name}: a hub and ${host.summary}`,
  });
  set(figure, { "data-presence": host.presence });
  set(hub, { transform: `translate(${center.x} ${center.y})`, "data-health": host.health });
  say(hub.querySelector(".hub-rate"), host.hub ? `${count(host.hub.framesPerSecond)}/s` : "");
  const hasBackplane = hostCount > 1;
  set(uplink, {
    x1: center.x,
    x2: center.x,
    y1: -16,
    y2: center.y - HUB_RADIUS,
    visibility: hasBackplane ? "visible" : "hidden",
    "data-cut": isCut(host),
  });
  keyed(
    edges,
    layout.spots,
    ({ worker }) => worker.slot,
    makeEdge,
    (edge, spot) => updateEdge(edge, spot, layout),
  );
  keyed(
    nodes,
    layout.spots,
    ({ worker }) => worker.slot,
    host.isSelf ? makeNode(host.id) : makeTold,
    (node, spot) => updateNode(node, spot),
  );
  keyed(
    labels,
    layout.spots,
    ({ worker }) => worker.slot,
    makeLabel,
    (label, spot) => updateLabel(label, spot, layout),
  );
}

/** Whether nothing flows between the host and the others. */
function isCut({ isSelf, presence }) {
  return isSelf ? status.backplane?.health === "bad" : presence !== "there";
}

/** Rings around the hub, as few as hold all workers; wide where there is room. */
function placeWorkers(workers, width, hostCount) {
  const n = workers.length;
  const isWide = hostCount === 1 && width > 560;
  const height = isWide ? (n > 24 ? 460 : n > 8 ? 400 : 340) : Math.min(width, n > 12 ? 340 : 280);
  const center = { x: width / 2, y: height / 2 };
  const most = Math.max(1, ...workers.map(({ clients }) => clients));
  const rings = n > (isWide ? 32 : 16) ? 2 : 1;
  const outer = { x: width / 2 - (isWide ? 70 : 40), y: height / 2 - (n <= MAX_FIGURES ? 46 : 30) };
  const counts = rings === 1 ? [n] : [Math.ceil(n * 0.62), n - Math.ceil(n * 0.62)];
  const radii = counts.map((_, ring) => {
    const factor = ring === 0 ? 1 : 0.6;
    return { x: outer.x * factor, y: outer.y * factor };
  });
  const room = Math.min(...counts.map((each, ring) => (perimeter(radii[ring]) / Math.max(each, 1)) * 0.42));
  const largest = Math.max(MIN_RADIUS, Math.min(MAX_RADIUS, room, outer.y / 2.6));
  const spots = [];
  let index = 0;
  for (const [ring, each] of counts.entries()) {
    for (const { x, y } of evenly(each, radii[ring], ring)) {
      const worker = workers[index++];
      const radius = worker.isTold ? Math.min(TOLD_RADIUS, largest) : radiusOf(worker, largest, most);
      spots.push({ worker, x: center.x + x, y: center.y + y, radius });
    }
  }
  return {
    height,
    center,
    spots,
    isCrowded: n > 24,
    hasFigures: n <= MAX_FIGURES,
    hasRates: n <= 4 || (n <= MAX_FIGURES && width > 560),
    largest,
  };
}

function radiusOf({ clients, health }, largest, most) {
  const radius = MIN_RADIUS + (largest - MIN_RADIUS) * Math.sqrt(clients / most);
  return health === "bad" ? Math.max(radius, Math.min(TROUBLE_RADIUS, largest)) : radius;
}

/** Points on an ellipse, the same way apart from each other, the first one at the top. */
function evenly(n, radius, ring) {
  const STEPS = 720;
  const at = (step) => {
    const angle = -Math.PI / 2 + (step / STEPS) * 2 * Math.PI;
    return { x: radius.x * Math.cos(angle), y: radius.y * Math.sin(angle) };
  };
  const way = [0];
  for (let step = 1; step <= STEPS; step++) {
    const [from, to] = [at(step - 1), at(step)];
    way.push(way[step - 1] + Math.hypot(to.x - from.x, to.y - from.y));
  }
  const all = way[STEPS];
  // With two it is left and right, and a second ring stands in the gaps of the first.
  const shift =
    n === 2 || n === 1 ? 0.25 : (ring === 1 ? 0.5 : 0) / n + (n % 2 === 0 && ring === 0 ? 0.5 / n : 0);
  return Array.from({ length: n }, (_, i) => {
    const wanted = all * ((i / n + shift) % 1);
    return at(way.findIndex((each) => each >= wanted));
  });
}

function perimeter({ x, y }) {
  return Math.PI * (3 * (x + y) - Math.sqrt((3 * x + y) * (x + 3 * y)));
}

function makeEdge() {
  return svg(
    "g",
    {},
    svg("path", { class: "edge" }),
    svg("path", { class: "flow" }),
    svg("text", { class: "rate" }),
  );
}

function updateEdge(edge, { worker, x, y, radius }, { center, hasRates, isCrowded }) {
  const [way, flow, rate] = edge.children;
  const length = Math.hypot(x - center.x, y - center.y) || 1;
  const from = (r) => ({
    x: center.x + ((x - center.x) / length) * r,
    y: center.y + ((y - center.y) / length) * r,
  });
  const [start, end] = [from(HUB_RADIUS), from(length - radius)];
  const d = `M${start.x.toFixed(1)} ${start.y.toFixed(1)}L${end.x.toFixed(1)} ${end.y.toFixed(1)}`;
  const perSecond = worker.inPerSecond + worker.outPerSecond;
  const width = perSecond < 0.1 ? 1 : 1 + Math.min(5, Math.log10(1 + perSecond) * 1.3) / (isCrowded ? 2 : 1);
  set(way, { d, "data-state": worker.state });
  way.style.strokeWidth = width.toFixed(1);
  set(flow, { d, visibility: perSecond < 0.1 ? "hidden" : "visible" });
  flow.style.strokeWidth = Math.max(1, width * 0.5).toFixed(1);
  // Four speeds: a new duration would make the dashes jump.
  flow.dataset.speed = perSecond < 1 ? "0" : perSecond < 100 ? "1" : perSecond < 10_000 ? "2" : "3";
  const middle = from(HUB_RADIUS + (length - radius - HUB_RADIUS) * 0.5);
  set(rate, { x: middle.x.toFixed(1), y: (middle.y - 5).toFixed(1) });
  say(rate, hasRates && perSecond >= 0.1 ? `${count(perSecond)}/s` : "");
}

const makeNode = (hostId) => () => {
  const node = svg(
    "g",
    { class: "node", role: "button", tabindex: -1 },
    svg("circle", { class: "halo" }),
    svg("circle", { class: "body" }),
  );
  const open = () => onOpen(hostId, node.place);
  node.addEventListener("click", () => {
    moveStop(node);
    open();
  });
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    open();
  });
  return node;
};

/** A worker of another host. Whoever cannot see it hears of the host. */
function makeTold() {
  return svg("g", { class: "node told", "aria-hidden": true }, svg("circle", { class: "body" }));
}

function updateNode(node, { worker, x, y, radius }) {
  if (worker.isTold) {
    set(node, { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    return set(node.firstElementChild, { r: radius.toFixed(1) });
  }
  const [halo, body] = node.children;
  node.place = worker.slot;
  set(node, {
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
    "data-health": worker.health,
    "data-state": worker.state,
    "aria-label": `Worker ${worker.slot}, ${STATES[worker.state]}, ${HEALTHS[worker.health]}, ${some(worker.clients, "client")}`,
  });
  set(body, { r: radius.toFixed(1) });
  set(halo, { r: (radius + 4).toFixed(1) });
}

/** What is written at a node. It is no part of it: who cannot see it hears the node's own label. */
function makeLabel() {
  return svg("g", {}, svg("text", { class: "slot" }), svg("text", { class: "clients" }));
}

function updateLabel(label, { worker, x, y, radius }, { hasFigures, largest }) {
  if (worker.isTold) return;
  const [slot, clients] = label.children;
  const isOutside = radius < 9;
  const hasName = hasFigures || (largest > 9 && !isOutside);
  set(label, { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, "data-health": worker.health });
  set(slot, { y: isOutside ? -radius - 5 : 4, "data-outside": isOutside });
  say(slot, hasName ? String(worker.slot) : "");
  set(clients, { y: radius + 16 });
  say(clients, hasFigures ? some(worker.clients, "client") : "");
}

const nodesIn = (list) => [...list.querySelectorAll('.node[role="button"]')];

function keepOneStop(list) {
  const nodes = nodesIn(list);
  if (nodes.length > 0 && !nodes.some((node) => node.getAttribute("tabindex") === "0"))
    set(nodes[0], { tabindex: 0 });
}

function moveStop(node) {
  for (const each of nodesIn(byId("hosts"))) set(each, { tabindex: each === node ? 0 : -1 });
}

function onKey(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const nodes = nodesIn(byId("hosts"));
  const at = nodes.indexOf(document.activeElement);
  if (at < 0 || (step === undefined && event.key !== "Home" && event.key !== "End")) return;
  event.preventDefault();
  const to =
    event.key === "Home"
      ? 0
      : event.key === "End"
        ? nodes.length - 1
        : (at + step + nodes.length) % nodes.length;
  moveStop(nodes[to]);
  nodes[to].focus();
}
