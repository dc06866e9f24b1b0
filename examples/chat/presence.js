/**
 * Who is in which room, over all workers.
 * A change is announced by its worker, and every worker then asks anew and tells its own clients. Lists
 * made by different workers could overtake each other on the way; a list asked for later can't be older.
 * Runs in: workers.
 */
import { report } from "./problems.js";
import { chatRooms, nameOf } from "./rooms.js";

const ASK_AGAIN_MS = 1_000;

export function trackPresence(io) {
  const { adapter } = io.of("/");
  /** Rooms that are being asked about: "asking", or "changed" if there was news meanwhile. */
  const asked = new Map();

  async function refresh(room) {
    if (!adapter.rooms.has(room)) return;
    if (asked.has(room)) {
      asked.set(room, "changed");
      return;
    }
    asked.set(room, "asking");
    try {
      const sockets = await io.in(room).fetchSockets();
      const people = sockets.map(({ id, data }) => ({
        id,
        name: data.name,
        worker: data.worker,
        transport: data.transport,
      }));
      io.local.to(room).emit("people", { room: nameOf(room), people });
    } catch (error) {
      report(`Could not ask who is in ${room}`, error);
      setTimeout(() => refresh(room), ASK_AGAIN_MS).unref();
    }
    const news = asked.get(room) === "changed";
    asked.delete(room);
    if (news) refresh(room);
  }

  const localRooms = () => chatRooms(adapter.rooms.keys());

  io.on("presence", refresh);

  return {
    localRooms,
    changed(room) {
      io.serverSideEmit("presence", room);
      refresh(room);
    },
    refreshAll() {
      localRooms().forEach(refresh);
    },
  };
}
