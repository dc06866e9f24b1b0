/** What happened, the newest first. Owns: the entries of `#events`. */
import { byId, element, keyed, say, set } from "./dom.js";
import { ago, clock } from "./words.js";

export function drawTimeline({ events, at, startedAt }) {
  const list = byId("events");
  if (events.length === 0) {
    if (!list.querySelector(".nothing")) list.append(element("li", { class: "nothing" }, "Nothing yet."));
    return;
  }
  list.querySelector(".nothing")?.remove();
  keyed(
    list,
    events,
    // Another primary counts anew.
    ({ id }) => `${startedAt} ${id}`,
    makeEvent,
    (entry, event) => update(entry, event, at),
  );
}

function makeEvent({ kind, detail, text }) {
  const time = element("time");
  const words = element("span", { class: "text" }, text);
  const times = element("span", { class: "times" });
  const entry = element(
    "li",
    { "data-kind": kind },
    element("i", { class: "dot", "aria-hidden": true }),
    element(
      "div",
      {},
      words,
      " ",
      times,
      detail === null
        ? undefined
        : element(
            "details",
            {},
            element("summary", {}, kind === "worker" ? "its last words" : "more"),
            element("pre", { tabindex: 0 }, detail),
          ),
    ),
    time,
  );
  entry.parts = { time, times, words, dot: entry.firstElementChild };
  return entry;
}

function update({ parts: { time, times, words, dot } }, event, now) {
  set(dot, { "data-health": event.health });
  say(words, event.text);
  say(times, event.times > 1 ? `${event.times}×` : "");
  say(time, ago(event.at, now));
  set(time, { datetime: new Date(event.at).toISOString(), title: clock(event.at) });
}
