/** Names of rooms, as people and as Socket.IO know them. Runs in: workers. */
import { readLine } from "./input.js";

/** Keeps them apart from the rooms that Socket.IO makes for each client, and from the panel's. */
const PREFIX = "room:";

/** What someone typed → the room. Throws what that person should read. */
export function roomOf(name) {
  return PREFIX + readLine(name, { what: "room", max: 24 }).toLowerCase();
}

export const nameOf = (room) => room.slice(PREFIX.length);

/** Those of `rooms` that belong to the chat. */
export function chatRooms(rooms) {
  return [...rooms].filter((room) => room.startsWith(PREFIX));
}
