/** Who I am and which rooms I am in: kept in this tab, so that a reload changes nothing. */
const ADJECTIVES = [
  "Amber",
  "Brisk",
  "Calm",
  "Clever",
  "Gentle",
  "Jolly",
  "Quiet",
  "Sunny",
  "Swift",
  "Witty",
];
const ANIMALS = ["Badger", "Crane", "Dolphin", "Finch", "Heron", "Lynx", "Marten", "Otter", "Puffin", "Seal"];
const FIRST_ROOM = "lobby";

const pick = (list) => list[Math.floor(Math.random() * list.length)];

export const me = {
  name: sessionStorage.getItem("name") ?? `${pick(ADJECTIVES)} ${pick(ANIMALS)}`,
  rooms: JSON.parse(sessionStorage.getItem("rooms") ?? "null") ?? [FIRST_ROOM],
};

export function remember(changes) {
  Object.assign(me, changes);
  sessionStorage.setItem("name", me.name);
  sessionStorage.setItem("rooms", JSON.stringify(me.rooms));
}

/** The room that the address names: a link to /#tea leads to the room "tea". */
export function linkedRoom() {
  try {
    return decodeURIComponent(location.hash.slice(1)).trim().toLowerCase();
  } catch {
    return ""; // not an address this page has made
  }
}

remember({ rooms: [...new Set([...me.rooms, linkedRoom()])].filter((name) => name !== "") });
