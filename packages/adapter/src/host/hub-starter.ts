/**
 * Starts the application's hub process.
 * Owns: the attempt that is under way, and the file that keeps other workers from starting one meanwhile.
 * Runs in: workers.
 *
 * The hub process outlives every worker, and must not be among the processes that a process manager ends with the
 * worker that happened to start it. So it has a session of its own, and no parent but the system: a process between
 * the two ends at once. The file only saves work; which hub is the one, the socket's place decides.
 */
import { spawn } from "node:child_process";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { dirname, parse } from "node:path";
import { HoldfastError, type HoldfastErrorCode } from "../errors.js";
import type { BackplaneRecipe } from "../hub/backplane.js";
import { wholePathIfAny } from "../whole-path.js";
import { startMarker } from "./application.js";
import { READY_WORD } from "./hub-command-line.js";
import { hubProgram } from "./own-folder.js";
import { ensurePrivateDirectory, refused } from "./socket-path.js";

/** What the hub has to say of its start comes on this descriptor. */
const READY_FD = 3;
/** After so long without members, the hub process ends. */
const IDLE_MS = 5_000;
/** A start takes a fraction of a second, unless the machine is very busy. */
const START_MS = 15_000;
/** After a start that failed. */
const RETRY_MS = 5_000;
const BUNDLED =
  "its program is missing, because this package was bundled into the application. Leave @holdfast/adapter out of the " +
  "bundle, and install it";
/** Started with `-e`: starts its arguments, and ends. */
const GO_BETWEEN = `require("node:child_process").spawn(process.execPath, process.argv.slice(1), {
  detached: true, stdio: ["ignore", "ignore", "ignore", ${READY_FD}] }).unref()`;
/** What the hub process needs of the worker's environment; the rest is the worker's. */
const KEPT_VARIABLES = ["PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR", "XDG_RUNTIME_DIR"];

export class HubStarter {
  readonly #path: string;
  readonly #backplane: BackplaneRecipe | undefined;
  readonly #marker: string;
  readonly #onFailure: (error: HoldfastError) => void;
  /**
   * Redis may have a certificate of an authority of one's own. The hub process is in another folder, and this one may be
   * when it is started.
   */
  readonly #authorities = process.env.NODE_EXTRA_CA_CERTS && wholePathIfAny(process.env.NODE_EXTRA_CA_CERTS);
  #state: "idle" | "starting" = "idle";
  #notBefore = 0;

  /** @param backplane what the hub is to have */
  constructor(
    path: string,
    backplane: BackplaneRecipe | undefined,
    onFailure: (error: HoldfastError) => void,
  ) {
    this.#path = path;
    this.#backplane = backplane;
    this.#marker = startMarker(path);
    this.#onFailure = onFailure;
  }

  /** Does nothing while a start is under way, here or in another worker. */
  start(): void {
    if (this.#state === "starting") return;
    if (performance.now() < this.#notBefore) return;
    const program = hubProgram();
    if (program === undefined) return this.#fail(startError(BUNDLED));
    try {
      ensurePrivateDirectory(dirname(this.#path));
      if (!this.#mark()) return;
    } catch (error) {
      return this.#fail(error instanceof HoldfastError ? error : refused(this.#path, error));
    }
    try {
      this.#spawn(program);
    } catch (error) {
      this.#onEnd(failureText((error as Error).message));
    }
  }

  #fail(error: HoldfastError): void {
    this.#notBefore = performance.now() + RETRY_MS;
    this.#onFailure(error);
  }

  #spawn(program: string): void {
    this.#state = "starting";
    process.prependOnceListener("exit", this.#removeMarker);
    const args = [
      "--path",
      this.#path,
      "--rendezvous",
      "--exit-when-idle",
      String(IDLE_MS),
      "--ready-fd",
      `${READY_FD}`,
      ...(this.#backplane?.args ?? []),
    ];
    const kept = Object.fromEntries(KEPT_VARIABLES.map((name) => [name, process.env[name]]));
    if (this.#authorities) kept.NODE_EXTRA_CA_CERTS = this.#authorities;
    const child = spawn(process.execPath, ["-e", GO_BETWEEN, program, ...args], {
      // Not the worker's: nobody could unmount or remove it.
      cwd: parse(process.execPath).root,
      detached: true,
      env: { ...kept, ...this.#backplane?.env },
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    });
    child.unref();
    const said = (child.stdio as typeof child.stdio | undefined)?.[READY_FD] as Socket | undefined;
    // This process has no file descriptor left, and Node.js has made nothing but an error.
    if (!said) {
      child.once("error", (error) => this.#onEnd(failureText(error.message)));
      return;
    }
    const timer = setTimeout(() => said.destroy(), START_MS).unref();
    let text = "";
    said.unref().setEncoding("utf8");
    said.on("error", ignore);
    said.on("data", (part: string) => {
      text += part;
    });
    child.once("error", (error) => {
      text = failureText(error.message);
    });
    said.once("close", () => {
      clearTimeout(timer);
      this.#onEnd(text);
    });
  }

  /** @param text what the hub process has said of its start */
  #onEnd(text: string): void {
    this.#state = "idle";
    process.off("exit", this.#removeMarker);
    this.#removeMarker();
    const failure = readFailure(text);
    // Another worker was faster.
    if (failure && failure.code !== "HOLDFAST_ERR_HUB_RUNNING") this.#fail(failure);
  }

  readonly #removeMarker = (): void => {
    try {
      rmSync(this.#marker, { force: true });
    } catch {
      // One that stays is stale as soon as this process has ended.
    }
  };

  /** @returns false if another worker starts one */
  #mark(): boolean {
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        writeFileSync(this.#marker, String(process.pid), { flag: "wx", mode: 0o600 });
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
          // On a full disk it is there, without a number, and would keep all workers from a start.
          this.#removeMarker();
          throw error;
        }
        if (!isStale(this.#marker)) return false;
        rmSync(this.#marker, { force: true });
      }
    }
    return false;
  }
}

/** Whether whoever made the marker is gone, or has taken too long. */
function isStale(marker: string): boolean {
  try {
    if (Date.now() - statSync(marker).mtimeMs > START_MS) return true;
    const pid = Number(readFileSync(marker, "utf8"));
    // Its number is written right after.
    if (pid > 0) process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** As the hub process says it itself. */
function failureText(why: string): string {
  const { code, message } = startError(why);
  return JSON.stringify({ code, message });
}

/** Undefined when the hub is open. */
function readFailure(text: string): HoldfastError | undefined {
  if (text === READY_WORD) return undefined;
  try {
    const { code, message } = JSON.parse(text) as { code: HoldfastErrorCode; message: string };
    return new HoldfastError(code, message);
  } catch {
    return startError("it ended without a word, or took too long");
  }
}

function startError(why: string): HoldfastError {
  return new HoldfastError(
    "HOLDFAST_ERR_HUB_START",
    `The hub process of this application could not be started: ${why}. It is tried again; until then, this worker's ` +
      "broadcasts reach its own clients only. You can run a hub yourself: npx holdfast-hub --path …, and " +
      "createAdapter({ hub: { path } }).",
  );
}

function ignore(): void {}
