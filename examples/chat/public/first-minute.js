/** What to try, for whoever opens the page for the first time in this tab. */
import { find } from "./dom.js";
import { areHere, invite, sendAway } from "./guests.js";
import { currentRoom } from "./talk.js";

const KEY = "welcomed";

const welcome = find("#welcome");
welcome.hidden = sessionStorage.getItem(KEY) !== null;

find("#welcome-close").addEventListener("click", () => {
  welcome.hidden = true;
  sessionStorage.setItem(KEY, "1");
});

const button = find("#guests");
button.addEventListener("click", () => {
  if (areHere()) sendAway();
  else invite(currentRoom);
  button.textContent = areHere() ? "Send the guests away" : "Add guests";
});
