/** The panel of workers: their figures, what happened to them, and the button that kills one. */
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
    died(deadPid, pause) {
      if (current !== undefined && current !== deadPid) return;
      current = undefined;
      setState("down", `restarts in ${duration(pause)}`);
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

function showHistory(history) {
  const lines = history.map(({ at, kind, slot, pid, reason, pause }) =>
    el(
      "li",
      { dataset: { kind } },
      el("time", {}, clockTime(at)),
      el(
        "span",
        {},
        kind === "started"
          ? `Worker ${slot} started (pid ${pid})`
          : `Worker ${slot} died: ${reason} (pid ${pid}); restarts in ${duration(pause)}`,
      ),
    ),
  );
  find("#history").replaceChildren(...lines.reverse());
  const last = new Map(history.map((entry) => [entry.slot, entry]));
  for (const [slot, { kind, pid, pause }] of last) {
    if (kind === "died") cardOf(slot).died(pid, pause);
    else cardOf(slot).started(pid);
  }
}

socket.on("worker", ({ slot, ...figures }) => cardOf(slot).show(figures));
socket.on("history", showHistory);
socket.on("connect", async () => showHistory((await ask("watch")).history));
