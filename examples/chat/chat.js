/** The chat itself: what a client may ask for, and what everyone in a room gets. Runs in: workers. */
import { answering, RequestError, readLine } from "./input.js";
import { trackPresence } from "./presence.js";
import { keepRecent } from "./recent.js";
import { chatRooms, nameOf, roomOf } from "./rooms.js";

const MOST_ROOMS = 8;
const MOST_MESSAGES_PER_SECOND = 20;

/** Returns what the worker panel wants to know about the chat. */
export function startChat(io, slot) {
  const presence = trackPresence(io);
  const recent = keepRecent(io);
  let taken = 0;

  io.on("connection", (socket) => {
    const joined = () => chatRooms(socket.rooms);
    const refresh = () => joined().forEach(presence.changed);
    const allowed = rateLimit(MOST_MESSAGES_PER_SECOND);

    // `data` is what other workers see of this client when they call fetchSockets().
    if (!socket.recovered) socket.data.name = cleanName(socket.handshake.auth.name);
    socket.data.worker = slot;
    socket.data.transport = socket.conn.transport.name;
    socket.conn.on("upgrade", (transport) => {
      socket.data.transport = transport.name;
      refresh();
    });

    async function join(room) {
      if (!socket.rooms.has(room) && joined().length >= MOST_ROOMS) {
        throw new RequestError(`You can be in ${MOST_ROOMS} rooms at a time.`);
      }
      await socket.join(room);
      presence.changed(room);
    }

    // One that could not be recovered comes back with its rooms: what it says next must find it in there.
    const back = Promise.allSettled(socket.recovered ? [] : roomsOf(socket.handshake.auth.rooms).map(join));
    if (socket.recovered) refresh();

    answering(socket, "join", async ({ room: name }) => {
      const room = roomOf(name);
      await join(room);
      return { room: nameOf(room), messages: await recent.of(room) };
    });

    answering(socket, "leave", async ({ room }) => {
      await socket.leave(roomOf(room));
      presence.changed(roomOf(room));
    });

    answering(socket, "rename", ({ name }) => {
      socket.data.name = cleanName(name);
      refresh();
    });

    // `id` is the sender's: after a lost answer it sends again, and nobody shows a message twice.
    answering(socket, "say", async ({ id, room: name, text }) => {
      await back;
      const room = roomOf(name);
      if (!socket.rooms.has(room)) throw new RequestError("Join the room first.");
      if (!allowed()) throw new RequestError("That is a bit fast. Try again in a second.");
      const message = {
        id: readLine(id, { what: "id", max: 40 }),
        room: nameOf(room),
        text: readLine(text, { what: "message", max: 500 }),
        name: socket.data.name,
        from: socket.id,
        worker: slot,
        at: Date.now(),
      };
      taken++;
      recent.add(room, message);
      socket.to(room).emit("message", message);
      return { message };
    });

    // It has left its rooms already, so nobody is asked to look at a client that is gone.
    socket.on("disconnecting", () => {
      const rooms = joined();
      socket.once("disconnect", () => rooms.forEach(presence.changed));
    });

    socket.emit("welcome", { worker: slot, pid: process.pid });
  });

  return {
    /** Messages taken from this worker's clients since it started. */
    messagesTaken: () => taken,
    /** Rooms that have a client on this worker. */
    rooms: () => presence.localRooms(),
    /** A worker died: its clients left their rooms without saying so. */
    workerDied: () => presence.refreshAll(),
  };
}

/** The rooms that a client says it is in; what is not a name of a room is left out. */
function roomsOf(names) {
  if (!Array.isArray(names)) return [];
  return names.slice(0, MOST_ROOMS).flatMap((name) => {
    try {
      return [roomOf(name)];
    } catch {
      return [];
    }
  });
}

function cleanName(name) {
  try {
    return readLine(name, { what: "name", max: 24 });
  } catch {
    return "Guest";
  }
}

function rateLimit(perSecond) {
  let second = 0;
  let count = 0;
  return () => {
    const now = Math.floor(Date.now() / 1000);
    if (now !== second) {
      second = now;
      count = 0;
    }
    return ++count <= perSecond;
  };
}
