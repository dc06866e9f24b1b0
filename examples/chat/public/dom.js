/** The one way this page makes elements: text is always text, whoever wrote it. */

/** `el("p.big", { title: "x" }, "text", otherElement)` */
export function el(description, properties = {}, ...children) {
  const [tag, ...classes] = description.split(".");
  const element = document.createElement(tag);
  element.classList.add(...classes);
  const { dataset, ...rest } = properties;
  Object.assign(element, rest);
  Object.assign(element.dataset, dataset);
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

export const find = (selector) => document.querySelector(selector);

/** Each worker has a colour of its own, the same wherever it is mentioned. */
export function paint(element, worker) {
  // The golden angle keeps neighbours far apart, however many there are.
  element.style.setProperty("--hue", String(Math.round((worker * 137.5 + 70) % 360)));
  return element;
}

export function workerChip(worker) {
  return paint(el("span.chip", { title: `served by worker ${worker}` }, `w${worker}`), worker);
}

export function clockTime(at) {
  return new Date(at).toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  });
}

/** 3.24 → "3.2 ms", 1520 → "1.5 s" */
export function duration(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 100 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}

export const TRANSPORTS = { polling: "Long-polling", websocket: "WebSocket" };
