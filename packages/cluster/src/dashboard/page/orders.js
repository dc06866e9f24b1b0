/** Orders to the cluster: the buttons, and the dialogs that say what an order will do. Owns: `#orders`, `#order`, `#login`. */
import { byId, element, keyed, say } from "./dom.js";
import { some } from "./words.js";

let stream;
let status;

export function startOrders(theStream) {
  stream = theStream;
  for (const id of ["order", "login"]) {
    const dialog = byId(id);
    dialog.addEventListener("click", (event) => id === "order" && event.target === dialog && dialog.close());
  }
}

export function drawOrders(current) {
  status = current;
  const isReloading = status.reload !== null;
  const offered = [
    { name: "scale", label: "Scale …", open: openScale },
    { name: "reload", label: isReloading ? "Reloading …" : "Reload …", open: openReload },
  ].filter(({ name }) => status.actions.includes(name));
  keyed(
    byId("orders"),
    offered,
    ({ name }) => name,
    ({ name, open }) =>
      element("button", { type: "button", class: name === "reload" ? "main" : "", click: () => open() }),
    (button, { label }) => {
      say(button, label);
      button.disabled = isReloading;
    },
  );
}

function openReload() {
  const { workers, clients } = status.totals;
  ask({
    title: "Reload the cluster?",
    text: [
      `Each of the ${some(workers, "worker")} gets a successor that runs the code as it is on disk now, a few at a time.`,
      `The ${some(clients, "client")} go to the successors. Those that can be moved stay connected; the others connect ` +
        "again by themselves. If a successor does not start, the reload is given up and what runs stays.",
    ],
    label: "Reload",
    order: () => stream.order("reload", {}),
  });
}

/** @param worker of this host */
export function openRestart({ slot, clients, workerId }) {
  ask({
    title: `Restart worker ${slot}?`,
    text: [
      `A new process takes the place of worker ${slot}. Its ${some(clients, "client")} go there, and its own end is ` +
        "waited for. Nobody else notices.",
    ],
    label: "Restart",
    order: () => stream.order("restart", { slot, workerId }),
  });
}

function openScale() {
  const now = status.hosts.find(({ isSelf }) => isSelf)?.workers.length ?? 1;
  const input = element("input", {
    type: "number",
    id: "scale-to",
    min: 1,
    max: 512,
    value: now,
    required: true,
  });
  const effect = element("p", { class: "effect" });
  const tell = () => {
    const to = Number(input.value);
    const more = to - now;
    const isNumber = Number.isInteger(to) && to >= 1 && to <= 512;
    say(
      effect,
      !isNumber
        ? "A number from 1 to 512."
        : more === 0
          ? "That is how many there are."
          : more > 0
            ? `${some(more, "worker")} will be started. New clients go there; those that are here stay where they are.`
            : `${some(-more, "worker")} will be drained and ended. Their clients go to the others.`,
    );
  };
  input.addEventListener("input", tell);
  tell();
  ask({
    title: "How many workers?",
    text: [`There are ${now} on this host now.`],
    fields: [element("label", { for: "scale-to" }, "Workers"), input, effect],
    label: "Scale",
    order: () => stream.order("scale", { workers: Number(input.value) }),
  });
}

/** Says what an order will do, and gives it if that is wanted. */
function ask({ title, text, fields = [], label, order }) {
  const dialog = byId("order");
  const failure = element("p", { class: "failure", role: "alert" });
  const token = element("input", {
    type: "password",
    id: "order-token",
    autocomplete: "off",
    spellcheck: "false",
  });
  const tokenField = element(
    "div",
    { class: "field" },
    element("label", { for: "order-token" }, "Token of the admin server"),
    token,
  );
  tokenField.hidden = stream.hasToken;
  const go = element("button", { type: "submit", class: "main" }, label);
  const form = element(
    "form",
    { method: "dialog" },
    element("h2", { id: "order-title" }, title),
    ...text.map((each) => element("p", {}, each)),
    ...(fields.length > 0 ? [element("div", { class: "field" }, ...fields)] : []),
    tokenField,
    failure,
    element(
      "div",
      { class: "choice" },
      element("button", { type: "button", click: () => dialog.close() }, "Cancel"),
      go,
    ),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!tokenField.hidden && token.value !== "") stream.token = token.value;
    go.disabled = true;
    const result = await order();
    go.disabled = false;
    if (result.ok) {
      dialog.close();
      return tell(result.text);
    }
    if (result.isLocked) {
      stream.token = "";
      tokenField.hidden = false;
      token.focus();
    }
    say(failure, result.text);
  });
  dialog.replaceChildren(form);
  dialog.showModal();
}

/** Asks for the token without which nothing is shown. */
export function openLogin(onToken) {
  const dialog = byId("login");
  const token = element("input", {
    type: "password",
    id: "login-token",
    autocomplete: "off",
    required: true,
  });
  const failure = element("p", { class: "failure", role: "alert" });
  if (stream.hasToken) say(failure, "This is not the token.");
  stream.token = "";
  const form = element(
    "form",
    { method: "dialog" },
    element("h2", { id: "login-title" }, "This cluster wants a token"),
    element(
      "p",
      {},
      "It is what startCluster({ admin: { token } }) was given. It is kept until this tab is closed.",
    ),
    element("div", { class: "field" }, element("label", { for: "login-token" }, "Token"), token),
    failure,
    element("div", { class: "choice" }, element("button", { type: "submit", class: "main" }, "Look")),
  );
  form.addEventListener("submit", () => {
    stream.token = token.value;
    onToken();
  });
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.replaceChildren(form);
  dialog.showModal();
}

/** Says for a moment what has become of an order. */
function tell(text) {
  const said = byId("said");
  say(said, text);
  clearTimeout(said.timer);
  said.timer = setTimeout(() => say(said, ""), 6_000);
}
