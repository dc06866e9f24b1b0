/** My connection to the cluster: who serves it, over what, and how to ask for something. */
import { io } from "/socket.io/socket.io.esm.min.js";
import { find, paint, TRANSPORTS } from "./dom.js";
import { me } from "./me.js";

/** What is asked for is asked again, on a new connection too, until there is an answer. */
const AGAIN_AFTER_MS = 3_000;
const TRIES = 20;

export const socket = io({
  autoConnect: false,
  auth: (send) => send({ name: me.name, rooms: me.rooms }),
  reconnectionDelay: 200,
  reconnectionDelayMax: 2_000,
  retries: TRIES,
  ackTimeout: AGAIN_AFTER_MS,
});

/** The worker that serves this page, or served it last: `{ worker, pid }`. */
export let server;
let welcomed = false;

/** Sends a request and resolves with the answer; rejects with a sentence for the person at the page. */
export async function ask(event, request) {
  const answer = await socket.emitWithAck(event, request);
  if (answer.error) throw new Error(answer.error);
  return answer;
}

const status = find("#status");
const buttons = [...document.querySelectorAll("[data-transport]")];

function show() {
  const transport = welcomed ? socket.io.engine.transport.name : undefined;
  status.dataset.state = welcomed ? "on" : "off";
  find("#status-worker").textContent = welcomed ? `worker ${server.worker}` : "connecting…";
  find("#status-transport").textContent = TRANSPORTS[transport] ?? "";
  if (server) paint(status, server.worker);
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(button.dataset.transport === transport));
  }
}

socket.on("connect", () => socket.io.engine.on("upgrade", show));
socket.on("welcome", (welcome) => {
  server = welcome;
  welcomed = true;
  show();
});
socket.on("disconnect", () => {
  welcomed = false;
  show();
});

for (const button of buttons) {
  button.addEventListener("click", () => {
    socket.io.opts.transports = [button.dataset.transport];
    socket.disconnect().connect();
  });
}
