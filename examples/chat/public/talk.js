/** The rooms I am in, what is said there, and who listens. */
import { ask, server, socket } from "./connection.js";
import { clockTime, duration, el, find, TRANSPORTS, workerChip } from "./dom.js";
import { linkedRoom, me, remember } from "./me.js";
import { score } from "./score.js";

const LINES_KEPT = 300;

/** name → { lines, ids, people, unread } */
const rooms = new Map();
let current = linkedRoom() || me.rooms[0];

function roomNamed(name) {
  if (!rooms.has(name)) rooms.set(name, { lines: [], ids: new Set(), people: [], unread: 0 });
  return rooms.get(name);
}

// ---- what is said

const list = find("#messages");

/** A line is a message or a note; `at` orders them, `element` shows it. */
function add(name, line) {
  const { lines, ids } = roomNamed(name);
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const later = lines.find(({ at }) => at > line.at);
  lines.splice(later ? lines.indexOf(later) : lines.length, 0, line);
  if (name === current) list.insertBefore(line.element, later?.element ?? null);
  if (lines.length > LINES_KEPT) {
    const oldest = lines.shift();
    oldest.element.remove();
    ids.delete(oldest.id);
  }
  if (name === current && (atEnd || line.mine)) list.scrollTop = list.scrollHeight;
}

/** The servers' time of the last line: a line without one goes to the end, whatever this clock says. */
const now = (name) => roomNamed(name).lines.at(-1)?.at ?? 0;

function addMessage(message) {
  const room = roomNamed(message.room);
  score.received(message);
  if (room.ids.has(message.id)) return;
  room.ids.add(message.id);
  add(message.room, { id: message.id, at: message.at, element: messageElement(message) });
  if (message.room === current) return;
  room.unread++;
  showRooms();
}

function messageElement({ name, text, worker, at }) {
  const chip = worker === undefined ? undefined : workerChip(worker);
  const head = el("p.by", {}, el("b", {}, name), chip, el("time", {}, clockTime(at)));
  return el("li.message", {}, head, el("p.text", {}, text));
}

/** A line about the connection, in every room. */
export function note(text, kind = "info") {
  for (const name of me.rooms) {
    add(name, { at: now(name), element: el("li.note", { dataset: { kind } }, text) });
  }
}

function newId() {
  return [...crypto.getRandomValues(new Uint32Array(3))].map((n) => n.toString(36)).join("");
}

/** Shows my message at once, and what became of it when the answer is there. */
async function say(room, text) {
  const id = newId();
  const element = messageElement({ name: me.name, text, at: Date.now() });
  const trip = el("span.trip", { title: "round trip: there and back" }, "sending…");
  const head = element.querySelector(".by");
  const time = head.querySelector("time");
  element.classList.add("mine");
  head.append(trip);
  const line = { id, at: now(room), mine: true, element };
  roomNamed(room).ids.add(id);
  add(room, line);

  const start = performance.now();
  try {
    const { message } = await ask("say", { id, room, text });
    score.sent(message);
    score.received(message);
    line.at = message.at;
    trip.textContent = duration(performance.now() - start);
    trip.classList.add("done");
    time.textContent = clockTime(message.at);
    time.before(workerChip(message.worker));
  } catch (error) {
    trip.textContent = error.message;
    trip.classList.add("failed");
  }
}

const composer = find("#composer");
composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = composer.elements.text.value.trim();
  if (text === "") return;
  composer.reset();
  say(current, text);
});

// ---- rooms

function showRooms() {
  const items = me.rooms.map((name) => {
    const open = el("button.room", { type: "button" }, `# ${name}`);
    if (name === current) open.setAttribute("aria-current", "true");
    const { unread } = roomNamed(name);
    if (unread > 0) open.append(el("span.unread", {}, String(unread)));
    open.addEventListener("click", () => enter(name));
    const leave = el("button.leave", { type: "button", title: `Leave ${name}` }, "×");
    leave.setAttribute("aria-label", `Leave ${name}`);
    leave.addEventListener("click", () => leaveRoom(name));
    return el("li", {}, open, me.rooms.length > 1 ? leave : undefined);
  });
  find("#rooms").replaceChildren(...items);
}

function enter(name) {
  current = name;
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  const room = roomNamed(name);
  room.unread = 0;
  find("#room-name").textContent = name;
  composer.elements.text.placeholder = `Message #${name}`;
  list.replaceChildren(...room.lines.map(({ element }) => element));
  list.scrollTop = list.scrollHeight;
  showRooms();
  showPeople();
  document.body.dataset.view = "talk";
}

/** The room that is shown. */
export const currentRoom = () => current;

/** Joins on the server, and shows what was said while I was not there. Gives the room's name. */
async function join(name) {
  const { room, messages } = await ask("join", { room: name });
  for (const message of messages) addMessage(message);
  return room;
}

async function leaveRoom(name) {
  remember({ rooms: me.rooms.filter((room) => room !== name) });
  rooms.delete(name);
  if (current === name) enter(me.rooms[0]);
  else showRooms();
  await ask("leave", { room: name });
}

const joining = find("#join");
joining.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const name = await join(joining.elements.room.value);
    joining.reset();
    if (!me.rooms.includes(name)) remember({ rooms: [...me.rooms, name] });
    enter(name);
  } catch (error) {
    note(error.message, "bad");
  }
});

// ---- people

function showPeople() {
  const { people } = roomNamed(current);
  const order = [...people].sort((a, b) => a.name.localeCompare(b.name));
  const items = order.map(({ id, name, worker, transport }) =>
    el(
      "li",
      {},
      el("span.person", {}, name, id === socket.id ? el("i", {}, " (you)") : undefined),
      el("small", {}, TRANSPORTS[transport] ?? transport),
      workerChip(worker),
    ),
  );
  find("#people").replaceChildren(...items);
  find("#people-count").textContent = String(people.length);
  const workers = new Set(people.map(({ worker }) => worker)).size;
  find("#room-facts").textContent =
    `${people.length} ${people.length === 1 ? "person" : "people"} on ` +
    `${workers} ${workers === 1 ? "worker" : "workers"}`;
}

socket.on("people", ({ room, people }) => {
  // It may come before the answer to "join".
  roomNamed(room).people = people;
  if (room === current) showPeople();
});

socket.on("message", (message) => {
  score.arrived(message);
  addMessage(message);
});

// ---- coming and going

let lostAt;

socket.on("disconnect", (reason) => {
  if (reason === "io client disconnect") return;
  lostAt = performance.now();
  note(`Worker ${server?.worker ?? "?"} is gone: finding another one…`, "bad");
});

socket.on("welcome", ({ worker }) => {
  if (lostAt === undefined) return;
  score.paused(performance.now() - lostAt);
  note(`On worker ${worker} after ${duration(performance.now() - lostAt)}. The chat goes on.`, "good");
  lostAt = undefined;
});

socket.on("connect", () => {
  for (const name of me.rooms) join(name).catch((error) => note(error.message, "bad"));
});

const nameField = find("#name");
nameField.value = me.name;
nameField.addEventListener("change", () => {
  remember({ name: nameField.value.trim() || me.name });
  nameField.value = me.name;
  ask("rename", { name: me.name });
});

enter(current);
