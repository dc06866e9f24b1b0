/**
 * `holdfast run --watch` for tests, beside an application in a folder of its own.
 * Owns: the programs and the folders, until the test is over. Runs in: tests.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Program } from "@holdfast/harness";
import { expect } from "vitest";
import { closedAfterEach, startsSupervised } from "./after-each.js";
import { APP, HOLDFAST, type Home } from "./supervised.js";

export const WORKING = `import ${JSON.stringify(APP)};\n`;
export const BROKEN = "throw new Error('broken');";

export function startsWatching() {
  const { home } = startsSupervised();
  const programs: Program[] = [];
  closedAfterEach({
    async close() {
      for (const program of programs.splice(0)) await program.close();
    },
  });
  const started = (program: Program) => {
    programs.push(program);
    return program;
  };
  /** An application in a folder of its own, `src`. */
  const application = (text: string) => {
    const own = home();
    const src = join(own.directory, "src");
    mkdirSync(src);
    const app = join(src, "app.mjs");
    writeFileSync(app, text);
    return { own, src, app };
  };
  /** `holdfast run --watch` with one worker. */
  const watching = (own: Home, app: string, flags = ["-p", "0"], env: NodeJS.ProcessEnv = {}): Program => {
    const args = [HOLDFAST, "run", app, "-w", "1", "--watch", ...flags];
    return started(Program.node(args, { env: { ...own.env, ...env }, cwd: own.directory }));
  };
  return { application, watching, started };
}

/** Writes a file again and again until it is told: it may be in a directory that is not watched yet. */
export async function isToldOf(program: Program, path: string, told: RegExp): Promise<void> {
  const write = () => {
    writeFileSync(path, "");
    return program.count(told);
  };
  // Less often than a change is told after.
  await expect.poll(write, { interval: 500 }).toBeGreaterThan(0);
}
