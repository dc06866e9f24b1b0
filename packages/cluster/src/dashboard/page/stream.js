/**
 * The connection to the cluster: what it tells, once a second, and orders to it.
 * Owns: one request that stays open, and the token for as long as this tab is open.
 *
 * `EventSource` cannot send a token, so the events are read from a plain request.
 */

const RETRY_MS = [250, 500, 1_000, 2_000];
/** After so long without a word, the connection is given up. */
const SILENCE_MS = 6_000;
const KEY = "holdfast-token";

export class Stream {
  #hooks;
  #tries = 0;

  /** @param hooks `onEvent(name, data)`, `onState("live" | "away" | "locked")` */
  constructor(hooks) {
    this.#hooks = hooks;
  }

  get hasToken() {
    return sessionStorage.getItem(KEY) !== null;
  }

  set token(token) {
    if (token === "") sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  }

  /** Follows the cluster for as long as the page is open. */
  async follow() {
    for (;;) {
      const state = await this.#read().catch(() => "away");
      this.#hooks.onState(state);
      if (state === "locked") return;
      await new Promise((resolve) =>
        setTimeout(resolve, RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)]),
      );
    }
  }

  /** Gives an order. Returns what became of it: `{ ok, text, isLocked }`. */
  async order(name, parameters) {
    try {
      const response = await fetch(`api/${name}`, {
        method: "POST",
        headers: { ...this.#headers(), "content-type": "application/json" },
        body: JSON.stringify(parameters),
      });
      const { message } = await response.json();
      return { ok: response.ok, text: message, isLocked: response.status === 401 };
    } catch {
      return {
        ok: false,
        text: "The cluster does not answer. Nothing was ordered, as far as this page knows.",
      };
    }
  }

  #headers() {
    const token = sessionStorage.getItem(KEY);
    return token === null ? {} : { authorization: `Bearer ${token}` };
  }

  async #read() {
    const abort = new AbortController();
    let silence = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const response = await fetch("api/events", {
        headers: this.#headers(),
        signal: abort.signal,
        cache: "no-store",
      });
      if (response.status === 401) return "locked";
      if (!response.ok) return "away";
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return "away";
        clearTimeout(silence);
        silence = setTimeout(() => abort.abort(), SILENCE_MS);
        text += value;
        const blocks = text.split("\n\n");
        text = blocks.pop();
        for (const block of blocks) this.#onBlock(block);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #onBlock(block) {
    const name = fieldOf(block, "event: ");
    const data = fieldOf(block, "data: ");
    if (name === undefined || data === undefined) return;
    this.#tries = 0;
    this.#hooks.onState("live");
    this.#hooks.onEvent(name, JSON.parse(data));
  }
}

/** Lines end where the format says, and not at other characters that expressions take for ends of lines. */
function fieldOf(block, field) {
  return block
    .split("\n")
    .find((line) => line.startsWith(field))
    ?.slice(field.length);
}
