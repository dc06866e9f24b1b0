/** The panel of workers: their figures, what happened to them, and the buttons that kill one and replace all. */
import { ask, socket } from "./connection.js";
import { clockTime, duration, el, find, paint } from "./dom.js";

const POINTS = 40;

/** slot → { element, show(figures) } */
const cards = new Map();

function cardOf(slot) {
  if (cards.has(slot)) return cards.get(slot);
  const card = makeCard(slot);
  cards.set(slot, card);
  const inOrder = [...cards.keys()].sort((a, b) => a - b);
  find("#workers").replaceChildren(...inOrder.map((key) => cards.get(key).element));
  return card;
}

function makeCard(slot) {
  const values = {};
  const figure = (key, label, title) => {
    values[key] = el("dd", {}, "–");
    return el("div", { title }, el("dt", {}, label), values[key]);
  };
  const pid = el("small", {}, "");
  const state = el("span.state", {}, "starting");
  const kill = el("button.kill", { type: "button" }, "Kill");
  const graph = sparkline();
  let current;
  kill.addEventListener("click", () => {
    kill.disabled = true;
    ask("kill", { pid: current });
  });

  const element = el(
    "li.worker",
    { dataset: { slot: String(slot), state: "starting" } },
    el("header", {}, el("b", {}, `Worker ${slot}`), pid, state, kill),
    el(
      "dl",
      {},
      figure("connections", "clients", "connections open on this worker"),
      figure("rooms", "rooms", "rooms with someone on this worker"),
      figure("delayMs", "loop delay", "event-loop delay, 99th percentile of the last second"),
      figure("messagesPerSecond", "msg/s", "messages taken from this worker's clients per second"),
    ),
    graph.element,
  );
  paint(element, slot);

  const setState = (name, text = name) => {
    element.dataset.state = name;
    state.textContent = text;
  };

  return {
    element,
    show(figures) {
      if (figures.pid !== current) {
        current = figures.pid;
        pid.textContent = `pid ${current}`;
        kill.disabled = false;
        kill.setAttribute("aria-label", `Kill worker ${slot}, process ${current}`);
        graph.clear();
      }
      setState("up");
      values.connections.textContent = String(figures.connections);
      values.rooms.textContent = String(figures.rooms);
      values.delayMs.textContent = duration(figures.delayMs);
      values.messagesPerSecond.textContent = figures.messagesPerSecond.toFixed(1);
      graph.add(figures.delayMs);
    },
    died(deadPid) {
      if (current !== undefined && current !== deadPid) return;
      current = undefined;
      setState("down");
      kill.disabled = true;
      for (const value of Object.values(values)) value.textContent = "–";
    },
    started(newPid) {
      if (current === newPid) return;
      setState("starting");
      pid.textContent = `pid ${newPid}`;
    },
  };
}

/** The event-loop delay of the last seconds; its scale ends at 20 ms, or higher if need be. */
function sparkline() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  svg.setAttribute("viewBox", `0 0 ${POINTS - 1} 10`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(line);
  let points = [];
  const draw = () => {
    const top = Math.max(20, ...points);
    const from = POINTS - points.length;
    line.setAttribute("points", points.map((y, i) => `${from + i},${9.5 - (9 * y) / top}`).join(" "));
  };
  return {
    element: svg,
    add(value) {
      points = [...points, value].slice(-POINTS);
      draw();
    },
    clear() {
      points = [];
      draw();
    },
  };
}

const TEXTS = {
  started: ({ slot, pid }) => `Worker ${slot} started (pid ${pid})`,
  died: ({ slot, pid, reason }) => `Worker ${slot} died: ${reason} (pid ${pid})`,
  replaced: ({ slot, pid }) => `Worker ${slot} was replaced (pid ${pid})`,
};

function showHistory(history) {
  const lines = history.map((entry) =>
    el(
      "li",
      { dataset: { kind: entry.kind } },
      el("time", {}, clockTime(entry.at)),
      el("span", {}, TEXTS[entry.kind](entry)),
    ),
  );
  find("#history").replaceChildren(...lines.reverse());
  // A worker that is replaced ends after its successor has started: that one is in its place by then.
  const last = new Map(history.filter(({ kind }) => kind !== "replaced").map((entry) => [entry.slot, entry]));
  for (const [slot, { kind, pid }] of last) {
    if (kind === "died") cardOf(slot).died(pid);
    else cardOf(slot).started(pid);
  }
}

const reload = find("#reload");
reload.addEventListener("click", async () => {
  reload.disabled = true;
  await ask("reload");
  reload.disabled = false;
});

socket.on("worker", ({ slot, ...figures }) => cardOf(slot).show(figures));
socket.on("history", showHistory);
socket.on("connect", async () => showHistory((await ask("watch")).history));
