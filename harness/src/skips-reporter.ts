/** Says at the end of a run what was skipped, why, and how to get it. Runs in: vitest's main process. */
import type { UserConsoleLog } from "vitest";
import type { Reporter, TestModule } from "vitest/node";
import { SKIPS } from "./find-program.js";

export class SkipsReporter implements Reporter {
  readonly #reasons = new Set<string>();

  onUserConsoleLog({ content }: UserConsoleLog): void {
    for (const line of content.split("\n")) {
      if (line.startsWith(SKIPS)) this.#reasons.add(line.slice(SKIPS.length));
    }
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const skipped = modules
      .map(({ relativeModuleId, children }) => ({
        file: relativeModuleId,
        count: [...children.allTests("skipped")].length,
      }))
      .filter(({ count }) => count > 0);
    if (skipped.length > 0) {
      console.log("Skipped on this machine:");
      for (const { file, count } of skipped)
        console.log(`  ${file}: ${count} ${count === 1 ? "test" : "tests"}`);
    }
    for (const reason of this.#reasons) console.log(`  ${reason}`);
  }
}
