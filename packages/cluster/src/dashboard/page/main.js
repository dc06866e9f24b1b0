/** The page: follows the cluster, and shows each moment of it. */
import { drawCharts } from "./charts.js";
import { byId, say, set } from "./dom.js";
import { drawOrders, openLogin, openRestart, startOrders } from "./orders.js";
import { drawPicture, startPicture } from "./picture.js";
import { Stream } from "./stream.js";
import { startTheme } from "./theme.js";
import { drawTimeline } from "./timeline.js";
import { clock, count, duration, HEALTHS, some } from "./words.js";
import { drawWorkers, openWorker, startWorkers } from "./workers.js";

/** The last moment, with the history that was told last. */
let moment;
let history;
let awaySince;

const stream = new Stream({
  onEvent(name, data) {
    if (name === "history") history = data;
    else if (name === "status") moment = data;
    if (moment && history) draw();
  },
  onState,
});

startTheme(byId("theme"));
startOrders(stream);
startPicture(openWorker);
startWorkers(openRestart);
setInterval(tellAway, 1_000);
void stream.follow();

function draw() {
  const status = { ...moment, history };
  document.title = `${status.health === "good" ? "" : "! "}${status.name} · Holdfast`;
  say(byId("name"), status.name);
  drawVerdict(status);
  drawReload(status);
  drawCharts(status);
  drawPicture(status);
  drawTimeline(status);
  drawWorkers(status);
  drawOrders(status);
  say(byId("versions"), `Holdfast ${status.versions.holdfast}, Node.js ${status.versions.node}`);
}

function drawVerdict({ health, summary, advice, since, slot, totals, startedAt, at, hosts }) {
  set(byId("verdict-dot"), { "data-health": health });
  set(byId("verdict").parentElement, { "data-health": health });
  say(byId("verdict"), summary);
  byId("advice").hidden = since === null;
  if (since !== null) say(byId("since"), `Since ${clock(since)}.`);
  say(byId("todo"), advice ?? "");
  const culprit = byId("culprit");
  culprit.hidden = slot === null;
  culprit.onclick = () => openWorker(hosts[0].id, slot);
  say(culprit, `Open worker ${slot}`);
  const here = hosts.length > 1 ? "On this host " : "";
  const elsewhere = hosts.filter(({ presence }) => presence === "there").length;
  say(
    byId("facts"),
    `${here}${totals.workersReady} of ${some(totals.workers, "worker")} ready · ${some(totals.clients, "client")} · ` +
      `up for ${duration(at - startedAt)}` +
      (elsewhere > 0 ? ` · with ${some(elsewhere, "other host")}` : ""),
  );
  set(byId("verdict"), { "data-spoken": HEALTHS[health] });
}

function drawReload({ reload, at }) {
  const box = byId("reload");
  box.hidden = reload === null;
  if (!reload) return;
  say(byId("reload-title"), reload.summary);
  const sessions =
    reload.total > 0 ? `${count(reload.moved)} of ${some(reload.total, "session")} moved · ` : "";
  say(
    byId("reload-figures"),
    `${reload.workersDone} of ${some(reload.workersTotal, "worker")} replaced · ${sessions}${duration(at - reload.startedAt)}`,
  );
  const all = reload.workersTotal + reload.total;
  byId("reload-bar").value = all === 0 ? 0 : (reload.workersDone + reload.moved) / all;
}

function onState(state) {
  const live = byId("live");
  if (state === "locked") openLogin(() => void stream.follow());
  set(live, { "data-state": state });
  set(document.body, { "data-away": state !== "live" });
  if (state === "live") awaySince = undefined;
  else awaySince ??= Date.now();
  say(live, state === "live" ? "live" : state === "locked" ? "locked" : "no answer");
  tellAway();
}

function tellAway() {
  const away = byId("away");
  const isLong = awaySince !== undefined && Date.now() - awaySince > 1_500;
  away.hidden = !isLong || moment === undefined;
  if (!away.hidden) {
    say(
      away,
      `The cluster does not answer. What is below is from ${clock(moment.at)}. This page tries again by itself.`,
    );
  }
  if (isLong && moment === undefined)
    say(byId("verdict"), "The cluster does not answer. This page tries again by itself.");
}
