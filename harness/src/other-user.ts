/** Tests in which somebody else takes part, whom file modes concern: only root can act as another user. */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { skipsWithout } from "./find-program.js";

/** "nobody" of most systems. */
export const NOBODY = 65_534;

export const isRoot = process.geteuid?.() === 0;

/**
 * Whether somebody else can run what is here; if not, it is said, as `skipsWithout()` does. They cannot in a checkout
 * below `/root`, which is closed to others.
 */
export function canRunAsNobody(): boolean {
  const here = JSON.stringify(fileURLToPath(import.meta.url));
  const options = { cwd: "/", uid: NOBODY, gid: NOBODY };
  const canRun =
    isRoot &&
    spawnSync(process.execPath, ["-e", `require("node:fs").readFileSync(${here})`], options).status === 0;
  skipsWithout(
    canRun,
    "Somebody else must be able to run what is built here. Run the tests as root, in a folder that is open to others.",
  );
  return canRun;
}

/**
 * What a program prints that file modes concern: root gives up its rights once the module is loaded, which somebody else
 * might not be able to read.
 * @param script has the module's exports as `module`
 */
export function runAsNobody(
  module: URL,
  script: string,
): Pick<SpawnSyncReturns<string>, "stdout" | "stderr" | "status"> {
  const giveUp = isRoot ? `process.setgid(${NOBODY}); process.setuid(${NOBODY});` : "";
  const program = `import(${JSON.stringify(module.href)}).then((module) => { ${giveUp} ${script} });`;
  return spawnSync(process.execPath, ["-e", program], { encoding: "utf8" });
}
