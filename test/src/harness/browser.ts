/** A real Chromium. Runs in: tests. */

import { findProgram } from "@holdfast/harness";
import { type Browser, chromium } from "playwright-core";

/** Gives the path of Chromium, or undefined when tests in it are to be skipped. */
export function findChromium(): string | undefined {
  return findProgram({
    name: "Chromium",
    programs: ["chromium", "chromium-browser", "google-chrome"],
    variable: "CHROMIUM_PATH",
    paths: [
      "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
      "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
    ],
    cure: "On Debian: apt-get install chromium.",
  });
}

/** Starts it, silent towards the outside. */
export async function launchChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      // Pictures that move are drawn by the processor, sixty times a second, beside whatever else is tested.
      "--force-prefers-reduced-motion",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
