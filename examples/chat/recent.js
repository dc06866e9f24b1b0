/**
 * The last messages of each room: what someone sees who joins, or who was away while a worker died.
 * Each worker keeps what was said through it, so nothing is copied around; for whoever joins, all workers are asked.
 * Runs in: workers.
 */
const MESSAGES_PER_ROOM = 50;
const ROOMS = 500;

export function keepRecent(io) {
  const kept = new Map();
  const mine = (room) => kept.get(room) ?? [];

  io.on("recent", (room, answer) => answer(mine(room)));

  return {
    add(room, message) {
      const messages = mine(room).filter(({ id }) => id !== message.id);
      // Deleted and set again: the map's first entry is the room that has been quiet the longest.
      kept.delete(room);
      kept.set(room, [...messages, message].slice(-MESSAGES_PER_ROOM));
      if (kept.size > ROOMS) kept.delete(kept.keys().next().value);
    },

    async of(room) {
      let others;
      try {
        others = await io.serverSideEmitWithAck("recent", room);
      } catch (error) {
        // Some worker did not answer; what the others said is better than nothing.
        others = error.responses ?? [];
      }
      const all = [...others.flat(), ...mine(room)].sort((a, b) => a.at - b.at);
      return all.slice(-MESSAGES_PER_ROOM);
    },
  };
}
