/**
 * A handful of guests, so that one person alone sees a living cluster. Each is a real client with a connection of its
 * own; half of them use long-polling.
 */
import { io } from "/socket.io/socket.io.esm.min.js";
import { score } from "./score.js";

const NAMES = ["Ada", "Grace", "Alan", "Barbara", "Edsger", "Katherine"];
const LINES = [
  "Anyone else on worker 1?",
  "I have just changed workers, I think. Did you notice?",
  "Still here.",
  "Which transport are you on?",
  "Somebody pulled a plug, and I have missed nothing.",
  "Tea, anyone?",
  "Press Kill again, I dare you.",
  "I am on long-polling, and it reads just the same.",
];
const EVERY_MS = 4_000;

const pick = (list) => list[Math.floor(Math.random() * list.length)];
const newId = () => [...crypto.getRandomValues(new Uint32Array(3))].map((n) => n.toString(36)).join("");

const guests = [];

export const areHere = () => guests.length > 0;

/** @param room gives the one that they talk in */
export function invite(room) {
  for (const [index, name] of NAMES.entries()) {
    const home = room();
    const socket = io({
      forceNew: true,
      multiplex: false,
      transports: [index % 2 === 0 ? "websocket" : "polling"],
      auth: { name, rooms: [home] },
      reconnectionDelay: 200,
      reconnectionDelayMax: 2_000,
      retries: 20,
      ackTimeout: 3_000,
    });
    socket.on("connect", () => socket.emit("join", { room: home }, () => {}));
    const talk = async () => {
      const { message } = await socket.emitWithAck("say", { id: newId(), room: home, text: pick(LINES) });
      if (message) score.sent(message);
    };
    const timer = setInterval(() => void talk().catch(() => {}), EVERY_MS * (0.8 + 0.4 * Math.random()));
    guests.push({ socket, timer });
  }
}

export function sendAway() {
  for (const { socket, timer } of guests.splice(0)) {
    clearInterval(timer);
    socket.disconnect();
  }
}
