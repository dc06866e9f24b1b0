/** Light or dark: as the system has it, unless somebody has chosen. Owns: `data-theme` of the page, one key of the storage. */
import { say, set } from "./dom.js";

const KEY = "holdfast-theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const WORDS = { system: "Colours: as the system", light: "Colours: light", dark: "Colours: dark" };

export function startTheme(button) {
  const show = (theme) => {
    set(document.documentElement, { "data-theme": theme === "system" ? undefined : theme });
    say(button, WORDS[theme]);
  };
  let theme = localStorage.getItem(KEY) ?? "system";
  if (!(theme in NEXT)) theme = "system";
  show(theme);
  button.addEventListener("click", () => {
    theme = NEXT[theme];
    localStorage.setItem(KEY, theme);
    show(theme);
  });
}
