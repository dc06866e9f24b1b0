/** Puts the page together. */
import "./cluster.js";
import { socket } from "./connection.js";
import "./first-minute.js";
import "./talk.js";

// On a narrow screen one part is shown at a time.
for (const tab of document.querySelectorAll("[data-show]")) {
  tab.addEventListener("click", () => {
    document.body.dataset.view = tab.dataset.show;
  });
}

socket.connect();
